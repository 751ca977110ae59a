import type { StatusReport } from '@tidings/shared/status-event'
import { LIMITS, STATUSES, STATUSES_WITH_ERROR } from '@tidings/shared/status-event'
import { v7 as uuidv7 } from 'uuid'
import { EVENT_SOURCE } from '../../src/load/bodies.ts'

/** A peer's job: the body and the fields that the server adds, as Tidings does. */
export interface QueuedEvent extends StatusReport {
  id: string
  notification_type: 'email'
  source: string
  received_at: string
  timestamp: string
}

export function receiveEvent(report: StatusReport): QueuedEvent {
  const received_at = new Date().toISOString()
  return {
    ...report,
    id: uuidv7(),
    notification_type: 'email',
    source: EVENT_SOURCE,
    received_at,
    timestamp: report.timestamp ?? received_at,
  }
}

/** The answer to the caller, in the shape of Tidings' answer. */
export function answerEvent(event: QueuedEvent) {
  const { id, notification_id, notification_type, status, timestamp, error } = event
  return {
    success: true,
    message: 'Status accepted.',
    data: { id, notification_id, notification_type, status, timestamp, error: error ?? null },
  }
}

export function answerBatch(events: readonly QueuedEvent[]) {
  return {
    success: true,
    message: 'Batch accepted.',
    data: events.map((event, index) => ({ index, outcome: 'accepted', id: event.id })),
  }
}

const text = (maxLength: number) => ({ type: 'string', minLength: 1, maxLength })

/** `statusReportSchema` as JSON Schema: Fastify's documentation validates with JSON Schema. */
export const reportJsonSchema = {
  type: 'object',
  required: ['notification_id', 'status'],
  properties: {
    notification_id: text(LIMITS.notificationIdLength),
    status: { type: 'string', enum: [...STATUSES] },
    user_id: { type: 'string', format: 'uuid' },
    error: {
      anyOf: [
        text(LIMITS.errorLength),
        {
          type: 'object',
          required: ['message'],
          properties: {
            code: text(LIMITS.errorCodeLength),
            class: { type: 'string', enum: ['transient', 'permanent', 'config'] },
            message: text(LIMITS.errorLength),
          },
        },
        { type: 'null' },
      ],
    },
    timestamp: { type: 'string', format: 'date-time' },
    event_id: text(LIMITS.eventIdLength),
    attempt: { type: 'integer', minimum: 0, maximum: LIMITS.int },
    provider: text(LIMITS.providerLength),
    provider_message_id: text(LIMITS.notificationIdLength),
    metadata: { type: 'object' },
  },
  if: { properties: { status: { enum: [...STATUSES_WITH_ERROR] } } },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
  then: { required: ['error'] },
} as const

export const batchJsonSchema = {
  type: 'object',
  required: ['events'],
  properties: {
    events: { type: 'array', minItems: 1, maxItems: LIMITS.envelopeEvents, items: reportJsonSchema },
  },
} as const

const answerProperties = { success: { type: 'boolean' }, message: { type: 'string' } }

/** Fastify recommends a response schema: it serializes with a compiled function then. */
export const reportAnswerJsonSchema = {
  202: {
    type: 'object',
    properties: {
      ...answerProperties,
      data: {
        type: 'object',
        properties: {
          id: { type: 'string' },
          notification_id: { type: 'string' },
          notification_type: { type: 'string' },
          status: { type: 'string' },
          timestamp: { type: 'string' },
          error: {},
        },
      },
    },
  },
}

export const batchAnswerJsonSchema = {
  202: {
    type: 'object',
    properties: {
      ...answerProperties,
      data: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            index: { type: 'integer' },
            outcome: { type: 'string' },
            id: { type: 'string' },
          },
        },
      },
    },
  },
}
