import { createHash } from 'node:crypto'
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
import { MAX_JOB_LENGTH, STATUS_QUEUE } from './policy.ts'

/** What a job brought, event by event. */
export interface ParsedEnvelope {
  events: StatusEvent[]
  invalid: InvalidEvent[]
  /** By event id: the tries so far that failed for the event, oldest first. */
  failures: Record<string, FailedAttempt[]>
}

/** Something on the queue that is not an event. */
export interface InvalidEvent {
  id: string
  raw: unknown
  message: string
  /** How often an operator sent it back, as far as it says so. */
  redrives: number
}

/** The part of a job that is read. `timestamp` in milliseconds. */
export interface EnvelopeJob {
  id?: string | undefined
  data: unknown
  timestamp: number
  queueName: string
}

/** What dead letters call the job that they come from. Each shard counts its jobs for itself. */
export function sourceJobIdOf({ id, queueName }: Pick<EnvelopeJob, 'id' | 'queueName'>): string | null {
  if (id === undefined) return null
  return queueName === STATUS_QUEUE ? id : `${queueName}/${id}`
}

/** Travels in the job's data beside the events that are left. */
const failuresSchema = z.object({ failures: z.record(z.string(), z.array(failedAttemptSchema)) })

/** What a producer without our library writes: a report that says its type, and may say its source. */
const bareEventSchema = z.looseObject({
  notification_type: z.enum(NOTIFICATION_TYPES),
  source: z.string().min(1).max(255).default('queue'),
})

/**
 * Reads a job's data: an envelope of events, or one bare event. Events are parsed one by one, so that a bad
 * one spoils nothing else. The same job read again gives the same ids.
 */
export function parseEnvelope(job: EnvelopeJob): ParsedEnvelope {
  const items = itemsOf(job.data)
  const opened: ParsedEnvelope = { events: [], invalid: [], failures: readFailures(job.data) }
  items.forEach((raw, index) => {
    const key = `${job.queueName}/${job.id}/${job.timestamp}/${index}`
    const event = readEvent(raw, key, job.timestamp)
    if (event.success) opened.events.push(event.data)
    else
      opened.invalid.push({
        id: invalidEventId(raw, key),
        raw: isTooDeep(raw) ? cutDeepJson(raw) : raw,
        message: event.message,
        redrives: redrivesOf(raw),
      })
  })
  return opened
}

/** Whether the worker would read the event whole, alone in an envelope: of longer data it keeps only the beginning. */
export const fitsEnvelope = (event: unknown): boolean =>
  JSON.stringify({ v: 1, events: [event] }).length <= MAX_JOB_LENGTH

/** @throws RangeError when the worker would not read an envelope's JSON whole: the events would be lost. */
export function assertReadable(envelope: string): void {
  if (envelope.length > MAX_JOB_LENGTH)
    throw new RangeError(`An envelope holds at most ${MAX_JOB_LENGTH} characters.`)
}

/** What stands for an event in a job's data, unread: those of an envelope, else the data as a whole. */
export function itemsOf(data: unknown): unknown[] {
  const envelope = envelopeSchema.safeParse(data)
  return envelope.success ? envelope.data.events : [data]
}

type ReadEvent = { success: true; data: StatusEvent } | { success: false; message: string }

/** Never throws: a job that cannot be read could be neither stored nor buried. */
function readEvent(raw: unknown, key: string, jobTimestamp: number): ReadEvent {
  try {
    return parseEvent(raw, key, jobTimestamp)
  } catch {
    // Nested so deeply that looking at it overflows the stack.
    return { success: false, message: 'event: cannot be read' }
  }
}

function parseEvent(raw: unknown, key: string, jobTimestamp: number): ReadEvent {
  // Only an event that was accepted knows when; an id alone is a field that nobody here knows.
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
  // Once more through the strict schema: it also refuses what PostgreSQL cannot hold.
  const checked = statusEventSchema.safeParse(event)
  return checked.success ? checked : { success: false, message: describe(checked.error) }
}

/** A producer that writes jobs to Redis itself may count in nanoseconds, or not at all: then it came now. */
function readTime(ms: number): Date {
  const time = new Date(ms)
  return isUsableTime(time.getTime()) ? time : new Date()
}

/** Where and what, without the values. */
function describe(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'event'}: ${issue.message}`).join('; ')
}

function readFailures(data: unknown): Record<string, FailedAttempt[]> {
  const found = failuresSchema.safeParse(data)
  return found.success ? found.data.failures : {}
}

const redrivesOf = (raw: unknown): number =>
  z.object({ redrives: z.int().min(0) }).safeParse(raw).data?.redrives ?? 0

/** The event's own id where it has a usable one, else one that the same job always gives. */
function invalidEventId(raw: unknown, key: string): string {
  const own = z.object({ id: z.guid() }).safeParse(raw)
  if (own.success) return own.data.id.toLowerCase()
  return createHash('sha256').update(key).digest('hex').slice(0, 32)
}
