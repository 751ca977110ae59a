import bearerAuth from '@fastify/bearer-auth'
import type { StatusReport } from '@tidings/shared/status-event'
import fastify from 'fastify'
import type { QueuedEvent } from './event.ts'
import {
  answerBatch,
  answerEvent,
  batchAnswerJsonSchema,
  batchJsonSchema,
  receiveEvent,
  reportAnswerJsonSchema,
  reportJsonSchema,
} from './event.ts'

export interface Intake {
  takeOne(event: QueuedEvent): Promise<void>
  takeMany(events: QueuedEvent[]): Promise<void>
}

/**
 * Fastify as its documentation recommends: its logger, JSON Schema for validation and for the answer, its bearer
 * plugin. The peers differ only in the intake of accepted events.
 */
export async function createFastifyApp(apiKey: string, intake: Intake) {
  const app = fastify({ logger: true })
  await app.register(bearerAuth, { keys: new Set([apiKey]) })

  app.post<{ Body: StatusReport }>(
    '/api/v1/email/status/',
    { schema: { body: reportJsonSchema, response: reportAnswerJsonSchema } },
    async (request, reply) => {
      const event = receiveEvent(request.body)
      await intake.takeOne(event)
      return reply.code(202).send(answerEvent(event))
    },
  )
  app.post<{ Body: { events: StatusReport[] } }>(
    '/api/v1/email/status/batch/',
    { schema: { body: batchJsonSchema, response: batchAnswerJsonSchema } },
    async (request, reply) => {
      const events = request.body.events.map(receiveEvent)
      await intake.takeMany(events)
      return reply.code(202).send(answerBatch(events))
    },
  )
  return app
}
