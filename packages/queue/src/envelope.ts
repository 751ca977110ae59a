import { type FailedAttempt, failedAttemptSchema } from '@tidings/shared/dead-letter'
import { identifyEvent } from '@tidings/shared/event-identity'
import { cutDeepJson, isTooDeep } from '@tidings/shared/json'
import {
  envelopeSchema,
  isUsableTime,
  NOTIFICATION_TYPES,
  type StatusEvent,
  statusEventSchema,
  statusReportSchema,
} from '@tidings/shared/status-event'
import { z } from 'zod'
import { contentDigest } from './dead-letters/entry-id.ts'
import { MAX_JOB_LENGTH, STATUS_QUEUE } from './policy.ts'

/** The events of a job, readable or not. */
export interface ParsedEnvelope {
  events: StatusEvent[]
  invalid: InvalidEvent[]
  /** By event id: the failed attempts so far, oldest first. */
  failures: Record<string, FailedAttempt[]>
}

/** An item of a job that is not an event. */
export interface InvalidEvent {
  /** The item's own id when it has a UUID, else derived from its content: the same item always gets the same id. */
  id: string
  /** The item, cut where it is nested too deep to be written as JSON. */
  raw: unknown
  /** What is wrong with it: fields and rules, without values. */
  message: string
  /** How often an operator redrove it, as its `redrives` field says. */
  redrives: number
}

/** The part of a BullMQ job that is read. `timestamp` is in milliseconds. */
export interface EnvelopeJob {
  id?: string | undefined
  data: unknown
  timestamp: number
  queueName: string
}

/** The job's id in a dead letter. It names the shard, because each shard counts its jobs from 1. */
export function sourceJobIdOf({ id, queueName }: Pick<EnvelopeJob, 'id' | 'queueName'>): string | null {
  if (id === undefined) return null
  return queueName === STATUS_QUEUE ? id : `${queueName}/${id}`
}

/** Stored in the job's data beside the events that are still to be tried. */
const failuresSchema = z.object({ failures: z.record(z.string(), z.array(failedAttemptSchema)) })

/** An event as a producer without our library writes it: a report with its type, and optionally its source. */
const bareEventSchema = z.looseObject({
  notification_type: z.enum(NOTIFICATION_TYPES),
  source: z.string().min(1).max(255).default('queue'),
})

/**
 * Reads a job's data: an envelope of events, or one bare event. It parses events one by one, so that a bad event does
 * not affect the others. Reading the same job again gives the same ids.
 */
export function parseEnvelope(job: EnvelopeJob): ParsedEnvelope {
  const items = itemsOf(job.data)
  const parsed: ParsedEnvelope = { events: [], invalid: [], failures: readFailures(job.data) }
  items.forEach((raw, index) => {
    const key = `${job.queueName}/${job.id}/${job.timestamp}/${index}`
    const event = readEvent(raw, key, job.timestamp)
    if (event.success) parsed.events.push(event.data)
    else parsed.invalid.push(toInvalidEvent(raw, event.message))
  })
  return parsed
}

/** Whether the worker can read the event alone in an envelope. Of longer data it keeps only the beginning. */
export const fitsEnvelope = (event: unknown): boolean =>
  JSON.stringify({ v: 1, events: [event] }).length <= MAX_JOB_LENGTH

/** @throws RangeError when an envelope's JSON is so long that the worker would keep only its beginning. */
export function assertReadable(envelope: string): void {
  if (envelope.length > MAX_JOB_LENGTH)
    throw new RangeError(`An envelope holds at most ${MAX_JOB_LENGTH} characters.`)
}

/** The unparsed items of a job's data: the events of an envelope, or the data as one item. */
export function itemsOf(data: unknown): unknown[] {
  const envelope = envelopeSchema.safeParse(data)
  return envelope.success ? envelope.data.events : [data]
}

type ReadEvent = { success: true; data: StatusEvent } | { success: false; message: string }

/** Never throws: a job that throws here could be neither stored nor dead-lettered. */
function readEvent(raw: unknown, key: string, jobTimestamp: number): ReadEvent {
  try {
    return parseEvent(raw, key, jobTimestamp)
  } catch {
    // It is nested so deeply that parsing it overflows the stack.
    return { success: false, message: 'event: cannot be read' }
  }
}

function parseEvent(raw: unknown, key: string, jobTimestamp: number): ReadEvent {
  // Only an event that an API accepted has both fields. A bare event may have an `id` field that is not ours.
  if (typeof raw === 'object' && raw !== null && !('id' in raw && 'received_at' in raw))
    return readBareEvent(raw, key, jobTimestamp)
  const event = statusEventSchema.safeParse(raw)
  return event.success ? event : { success: false, message: describe(event.error) }
}

function readBareEvent(raw: object, key: string, jobTimestamp: number): ReadEvent {
  const head = bareEventSchema.safeParse(raw)
  if (!head.success) return { success: false, message: describe(head.error) }
  const report = statusReportSchema.safeParse(raw)
  if (!report.success) return { success: false, message: describe(report.error) }
  const event = identifyEvent(report.data, {
    type: head.data.notification_type,
    source: head.data.source,
    receivedAt: readTime(jobTimestamp),
    fallbackKey: key,
  })
  // The strict schema also refuses values that PostgreSQL cannot store.
  const checked = statusEventSchema.safeParse(event)
  return checked.success ? checked : { success: false, message: describe(checked.error) }
}

/** The job's time, or now when a producer wrote a time that is unusable, such as one in nanoseconds. */
function readTime(ms: number): Date {
  const time = new Date(ms)
  return isUsableTime(time.getTime()) ? time : new Date()
}

/** Lists the fields and rules that failed, without values. */
function describe(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'event'}: ${issue.message}`).join('; ')
}

function readFailures(data: unknown): Record<string, FailedAttempt[]> {
  const found = failuresSchema.safeParse(data)
  return found.success ? found.data.failures : {}
}

const redrivesOf = (raw: unknown): number =>
  z.object({ redrives: z.int().min(0) }).safeParse(raw).data?.redrives ?? 0

function toInvalidEvent(item: unknown, message: string): InvalidEvent {
  const raw = isTooDeep(item) ? cutDeepJson(item) : item
  const own = z.object({ id: z.guid() }).safeParse(raw)
  const id = own.success ? own.data.id.toLowerCase() : contentDigest(raw).slice(0, 32)
  return { id, raw, message, redrives: redrivesOf(raw) }
}
