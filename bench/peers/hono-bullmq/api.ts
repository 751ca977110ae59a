import { serve } from '@hono/node-server'
import { zValidator } from '@hono/zod-validator'
import { LIMITS, statusReportSchema } from '@tidings/shared/status-event'
import { Queue } from 'bullmq'
import { Hono } from 'hono'
import { bearerAuth } from 'hono/bearer-auth'
import { logger } from 'hono/logger'
import { pino } from 'pino'
import { z } from 'zod'
import { readContenderEnv } from '../contract/env.ts'
import type { QueuedEvent } from '../contract/event.ts'
import { answerBatch, answerEvent, receiveEvent } from '../contract/event.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { JOB_OPTIONS, openRedis, QUEUE } from './queue.ts'

/** The common design: Hono's middleware, one BullMQ job per event. */
const env = readContenderEnv()
const queue = new Queue<QueuedEvent>(QUEUE, {
  connection: openRedis(env.REDIS_URL),
  defaultJobOptions: JOB_OPTIONS,
})
const log = pino()
const batchSchema = z.object({ events: z.array(statusReportSchema).min(1).max(LIMITS.envelopeEvents) })

const app = new Hono()
  .use(logger((line) => log.info(line)))
  .use(bearerAuth({ token: env.API_KEY }))
  .post('/api/v1/email/status/', zValidator('json', statusReportSchema), async (c) => {
    const event = receiveEvent(c.req.valid('json'))
    await queue.add('store', event)
    return c.json(answerEvent(event), 202)
  })
  .post('/api/v1/email/status/batch/', zValidator('json', batchSchema), async (c) => {
    const events = c.req.valid('json').events.map(receiveEvent)
    await queue.addBulk(events.map((event) => ({ name: 'store', data: event })))
    return c.json(answerBatch(events), 202)
  })

await queue.waitUntilReady()
const server = serve({ fetch: app.fetch, port: env.PORT, hostname: '127.0.0.1' }, sayReady)
stopOnSignal(async () => {
  server.close()
  await queue.close()
})
