import { AppError } from '@tidings/shared/errors'
import { identifyEvent } from '@tidings/shared/event-identity'
import {
  LIMITS,
  NOTIFICATION_TYPES,
  type NotificationType,
  type StatusEvent,
  type StatusReport,
  statusReportSchema,
} from '@tidings/shared/status-event'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Authorize } from '../http/authorize.ts'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import type { ServicePrincipal } from '../http/principal.ts'
import { MAX_BATCH_BODY_BYTES, readJson } from '../http/read-json.ts'
import { success } from '../http/respond.ts'
import { Turns } from '../http/turns.ts'
import { EventLimits } from './event-limits.ts'
import type { Ingest } from './ingest.ts'
import { type BatchResult, validateBatch } from './validate-batch.ts'

export interface ReportDeps {
  authorize: Authorize
  ingest: Ingest
  /** See digestRecipient. */
  recipientKey: string
}

/** The body of a batch. Its events are validated one by one. */
const statusBatchSchema = z.object({ events: z.array(z.unknown()).min(1).max(LIMITS.envelopeEvents) })

/** POST /api/v1/{email|push}/status and …/batch: producers report status events. */
export function reportRoutes(deps: ReportDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const shared = { limits: new EventLimits(), turns: new Turns() }
  for (const type of NOTIFICATION_TYPES) addRoutesOfType(app, type, deps, shared)
  return app
}

function addRoutesOfType(
  app: Hono<ApiEnv>,
  type: NotificationType,
  { authorize, ingest, recipientKey }: ReportDeps,
  { limits, turns }: { limits: EventLimits; turns: Turns },
): void {
  /** Authenticates the caller and takes one event from its allowance. */
  async function admit(c: ApiContext) {
    const startedMs = performance.now()
    const service = await authorize.service(c, `status:write:${type}`)
    limits.take(service)
    return { service, spentMs: performance.now() - startedMs }
  }

  const receptionBy = ({ name, scopes }: ServicePrincipal) => ({
    type,
    source: name,
    recipientKey,
    feedback: scopes.has('feedback:write'),
  })

  app.post(`/api/v1/${type}/status`, async (c) => {
    const { service, spentMs } = await admit(c)
    const report = await readJson(c, statusReportSchema)
    const event = identifyEvent(report, {
      ...receptionBy(service),
      receivedAt: new Date(),
      idempotencyKey: readIdempotencyKey(c),
    })
    await ingest.accept(event, spentMs)
    return success(202, 'Status accepted.', showAccepted(event))
  })

  app.post(`/api/v1/${type}/status/batch`, async (c) => {
    const { service, spentMs } = await admit(c)
    const { events } = await readJson(c, statusBatchSchema, {
      maxBytes: MAX_BATCH_BODY_BYTES,
      uncheckedMember: 'events',
    })
    limits.takeMore(service, events.length - 1)
    const key = readIdempotencyKey(c, MAX_BATCH_KEY_LENGTH)
    const receivedAt = new Date()
    const reception = receptionBy(service)
    const identify = (report: StatusReport, index: number) => {
      const idempotencyKey = key === undefined ? undefined : `${key}#${index}`
      const event = identifyEvent(report, { ...reception, receivedAt, idempotencyKey })
      return { event, refusal: ingest.findConflict(event) }
    }
    const results = await validateBatch(events, identify, turns.start())
    const accepted = results.flatMap((result) => (result.accepted ? [result.event] : []))
    if (accepted.length > 0) await ingest.acceptAll(accepted, spentMs)
    return success(202, `${accepted.length} of ${results.length} events accepted.`, results.map(showResult))
  })
}

/** Refuses the same paths with an unknown notification type. */
export function unknownTypeRoutes({ authorize }: Pick<ReportDeps, 'authorize'>): Hono<ApiEnv> {
  return new Hono<ApiEnv>({ strict: false }).on(
    'POST',
    ['/api/v1/:type/status', '/api/v1/:type/status/batch'],
    async (c) => {
      // Authenticate first: a caller without a key must not learn which types exist.
      await authorize.service(c, 'status:write:email')
      throw new AppError('invalid_notification_type', `Must be one of: ${NOTIFICATION_TYPES.join(', ')}.`)
    },
  )
}

/** Leaves room for the suffix `#<index>`: the result is the event_id of each event in the batch. */
export const MAX_BATCH_KEY_LENGTH = LIMITS.eventIdLength - `#${LIMITS.envelopeEvents - 1}`.length

const VISIBLE_ASCII = /^[\x21-\x7e]+$/

function readIdempotencyKey(c: ApiContext, maxLength: number = LIMITS.eventIdLength): string | undefined {
  const key = c.env.incoming.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key === 'string' && key.length <= maxLength && VISIBLE_ASCII.test(key)) return key
  throw new AppError(
    'validation_failed',
    `Idempotency-Key must be 1 to ${maxLength} visible ASCII characters here.`,
  )
}

function showAccepted(event: StatusEvent) {
  return {
    id: event.id,
    notification_id: event.notification_id,
    notification_type: event.notification_type,
    status: event.status,
    timestamp: event.timestamp,
    error: event.error ?? null,
  }
}

function showResult(result: BatchResult) {
  return result.accepted
    ? { accepted: true, ...showAccepted(result.event) }
    : {
        accepted: false,
        error: result.refusal.code,
        message: result.refusal.message,
        errors: result.refusal.fields,
      }
}
