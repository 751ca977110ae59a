import type { FieldError } from '@tidings/shared/errors'

/**
 * - `invalid_event`: the event breaks a rule; `fields` says which. Correct it.
 * - `conflict`: its `event_id` was used before with other content. Correct it.
 * - `unauthorized`: the service key is not valid, or lacks the scope of the type.
 * - `refused`: the API refused the request as a whole. The URL may be wrong.
 * - `unavailable`: nobody confirmed the event in time. It may have arrived.
 * - `overloaded`: as many events as `maxPending` allows are on their way. This one was not sent.
 * - `closed`: the producer was closed first. The event may have arrived.
 * - `invalid_options`: the options of createProducer break a rule; `fields` says which.
 */
export type ProducerErrorCode =
  | 'invalid_event'
  | 'conflict'
  | 'unauthorized'
  | 'refused'
  | 'unavailable'
  | 'overloaded'
  | 'closed'
  | 'invalid_options'

const RETRYABLE: readonly ProducerErrorCode[] = ['unavailable', 'overloaded', 'closed']

interface ProducerErrorDetails {
  eventId?: string | undefined
  fields?: readonly FieldError[] | undefined
  retryAfterMs?: number | undefined
  cause?: unknown
}

/** Why an event was not reported. Its texts name fields and rules, and hold no values of the event. */
export class ProducerError extends Error {
  readonly code: ProducerErrorCode
  /** Whether the same event may be taken later. Give it the same `event_id` then: it is stored once. */
  readonly retryable: boolean
  /** The `event_id` that the event was sent with. Undefined for an event that was not sent. */
  readonly eventId: string | undefined
  /** Each problem of an invalid event. */
  readonly fields: readonly FieldError[]
  /** How long the API asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(code: ProducerErrorCode, message: string, details: ProducerErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'ProducerError'
    this.code = code
    this.retryable = RETRYABLE.includes(code)
    this.eventId = details.eventId
    this.fields = details.fields ?? []
    this.retryAfterMs = details.retryAfterMs
  }
}

/** The error of one event, made from one that may stand for a whole batch. */
export function errorOfEvent(error: unknown, eventId: string): ProducerError {
  if (!(error instanceof ProducerError))
    return new ProducerError('unavailable', 'The event could not be sent.', { eventId, cause: error })
  const { code, message, fields, retryAfterMs, cause } = error
  return new ProducerError(code, message, { eventId, fields, retryAfterMs, cause })
}

/** The error of an event, or of options, with the fields and rules that failed. */
export function invalid(
  code: 'invalid_event' | 'invalid_options',
  fields: readonly FieldError[],
): ProducerError {
  const [what, whole] =
    code === 'invalid_event' ? ['The event', 'event'] : ['An option of createProducer', 'options']
  const nameOf = (pointer: string) => pointer.slice(1).replaceAll('/', '.') || whole
  const problems = fields.map(({ pointer, message }) => `${nameOf(pointer)}: ${message}`).join(' ')
  return new ProducerError(code, `${what} is not valid. ${problems}`, { fields })
}
