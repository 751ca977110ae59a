import { serve } from '@hono/node-server'
import { zValidator } from '@hono/zod-validator'
import { LIMITS, statusReportSchema } from '@tidings/shared/status-event'
import { Hono } from 'hono'
import { z } from 'zod'
import { readContenderEnv } from '../peers/contract/env.ts'
import { answerBatch, answerEvent, receiveEvent } from '../peers/contract/event.ts'
import { sayReady, stopOnSignal } from '../peers/contract/process.ts'

/**
 * Hono parses and validates the same body and gives the same answer. It checks no key, writes no log and has no queue.
 * Its GET answers with a user from memory.
 */
const batchSchema = z.object({ events: z.array(statusReportSchema).min(1).max(LIMITS.envelopeEvents) })
const created = new Date().toISOString()

const app = new Hono()
  .post('/api/v1/email/status/', zValidator('json', statusReportSchema), (c) =>
    c.json(answerEvent(receiveEvent(c.req.valid('json'))), 202),
  )
  .post('/api/v1/email/status/batch/', zValidator('json', batchSchema), (c) =>
    c.json(answerBatch(c.req.valid('json').events.map(receiveEvent)), 202),
  )
  .get('/api/v1/users/:id/', (c) =>
    c.json({
      success: true,
      message: 'User found.',
      data: {
        id: c.req.param('id'),
        name: 'Bench User',
        email: 'bench-1@example.com',
        push_token: null,
        preferences: { email: true, push: true },
        created_at: created,
        updated_at: created,
      },
    }),
  )

const server = serve({ fetch: app.fetch, port: readContenderEnv().PORT, hostname: '127.0.0.1' }, sayReady)
stopOnSignal(async () => {
  server.close()
})
