import { type FailedAttempt, failedAttemptSchema } from '@tidings/shared/dead-letter'
import { PARSE_OPTIONS } from '@tidings/shared/issue-message'
import { cutDeepJson, isTooDeep } from '@tidings/shared/json'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import {
  envelopeSchema,
  isStatusEvent,
  LIMITS,
  type StatusEvent,
  type UnresolvedEvent,
} from '@tidings/shared/status-event'
import { z } from 'zod'
import { isEventObject, writableEvent } from './dead-letters/entry.ts'
import { contentDigest } from './dead-letters/entry-id.ts'
import { MAX_JOB_LENGTH, STATUS_QUEUE } from './policy.ts'
import { describeProblems, joinProblems, readEvent } from './read-event.ts'

/** The events of a job, readable or not. */
export interface ParsedEnvelope {
  events: StatusEvent[]
  /** Events that name their message only. */
  unresolved: UnresolvedEvent[]
  invalid: InvalidEvent[]
  /** By event id: the failed attempts so far, oldest first. */
  failures: Record<string, FailedAttempt[]>
  /** When the unresolved events were first looked up in vain. Absent before that. */
  unresolvedSince?: Date | undefined
  /** The version of an envelope that this code does not know yet. Its data is then the one invalid item. */
  newerVersion?: number
}

/** An item of a job that is not an event, or that a receiver could not read, or data that a newer version wrote. */
export interface InvalidEvent {
  reason: 'invalid_event' | 'newer_version'
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

/** What stays in a job for its next run. parseEnvelope reads it. */
export const toRemainingData = (
  events: readonly (StatusEvent | UnresolvedEvent)[],
  failures: Record<string, readonly FailedAttempt[]>,
  unresolvedSince?: Date,
): object => ({
  ...{ v: 1, events, failures },
  ...(unresolvedSince && { unresolved_since: unresolvedSince.toISOString() }),
})

/**
 * Reads a job's data: an envelope of events, or one bare event. It parses events one by one, so that a bad event does
 * not affect the others. Reading the same job again gives the same ids.
 *
 * @param recipientKey see digestRecipient.
 */
export function parseEnvelope(job: EnvelopeJob, recipientKey = DEFAULT_RECIPIENT_KEY): ParsedEnvelope {
  const newerVersion = newerVersionOf(job.data)
  if (newerVersion !== undefined)
    return {
      ...{ events: [], unresolved: [], failures: {} },
      invalid: [toNewerJob(job.data, newerVersion)],
      newerVersion,
    }
  const { items, problem } = unwrap(job.data)
  const parsed: ParsedEnvelope = {
    ...{ events: [], unresolved: [], invalid: [] },
    failures: readFailures(job.data),
  }
  items.forEach((raw, index) => {
    const key = `${job.queueName}/${job.id}/${job.timestamp}/${index}`
    const event = readEvent(raw, { key: redriveKeyOf(raw) ?? key, jobTimestamp: job.timestamp, recipientKey })
    if (event.success && problem === undefined) {
      if (isStatusEvent(event.data)) parsed.events.push(event.data)
      else parsed.unresolved.push(event.data)
      return
    }
    // Data that could not be taken apart is no event: only the problem of the envelope counts.
    const isWhole = problem !== undefined && raw === job.data
    parsed.invalid.push(toInvalidEvent(raw, joinProblems(problem, isWhole ? undefined : event.message)))
  })
  if (parsed.unresolved.length === 0) return parsed
  return { ...parsed, unresolvedSince: readUnresolvedSince(job.data) }
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
export const itemsOf = (data: unknown): unknown[] =>
  newerVersionOf(data) === undefined ? unwrap(data).items : [data]

/** The version of an envelope, when it is newer than 1. A bare event may have a field `v` of its own. */
export function newerVersionOf(data: unknown): number | undefined {
  if (!isEventObject(data) || data.notification_id !== undefined) return undefined
  const { v } = data
  return typeof v === 'number' && Number.isSafeInteger(v) && v > 1 ? v : undefined
}

/** Most events of a job that is no valid envelope and yet become dead letters one by one. */
const MAX_SEPARATED = 10 * LIMITS.envelopeEvents

/** The items of a job's data, and what is wrong with the envelope around them. Its events then are invalid too. */
function unwrap(data: unknown): { items: unknown[]; problem?: string } {
  const envelope = envelopeSchema.safeParse(data, PARSE_OPTIONS)
  if (envelope.success) return { items: envelope.data.events }
  const events = listedEvents(data)
  if (events === undefined) return { items: [data] }
  const problem = describeProblems(envelope.error, 'envelope')
  const areSeparable = events.length > 0 && events.length <= MAX_SEPARATED
  return { items: areSeparable ? events : [data], problem }
}

/** The events of a list, or of an object that is meant to be an envelope. */
function listedEvents(data: unknown): unknown[] | undefined {
  if (Array.isArray(data)) return data
  if (!isEventObject(data) || data.notification_id !== undefined) return undefined
  return Array.isArray(data.events) ? data.events : undefined
}

/** The same data with other items, in the order of itemsOf. */
export function replaceItems(data: unknown, items: readonly unknown[]): unknown {
  if (Array.isArray(data)) return items
  return listedEvents(data) === undefined ? items[0] : { ...(data as object), events: items }
}

function readFailures(data: unknown): Record<string, FailedAttempt[]> {
  const found = failuresSchema.safeParse(data)
  return found.success ? found.data.failures : {}
}

const unresolvedSinceSchema = z.object({ unresolved_since: z.iso.datetime() })

function readUnresolvedSince(data: unknown): Date | undefined {
  const found = unresolvedSinceSchema.safeParse(data)
  return found.success ? new Date(found.data.unresolved_since) : undefined
}

// Made once: making a schema for each event took as long as parsing it.
const redrivesSchema = z.object({ redrives: z.int().min(0) })
const ownIdSchema = z.object({ id: z.guid() })

const redrivesOf = (raw: unknown): number => redrivesSchema.safeParse(raw).data?.redrives ?? 0

/** What identifies an event that was unreadable when it was redriven. toRedrivenEvent adds it. */
const redriveKeyOf = (raw: unknown): string | undefined =>
  isEventObject(raw) && typeof raw.redrive_key === 'string' ? raw.redrive_key : undefined

function toNewerJob(data: unknown, version: number): InvalidEvent {
  return {
    id: contentDigest(data).slice(0, 32),
    reason: 'newer_version',
    raw: writableEvent(data),
    message: `The producer wrote version ${version}, the worker reads version 1. Upgrade the workers, then redrive.`,
    redrives: redrivesOf(data),
  }
}

function toInvalidEvent(item: unknown, message: string): InvalidEvent {
  const raw = isTooDeep(item) ? cutDeepJson(item) : item
  const own = ownIdSchema.safeParse(raw)
  const id = own.success ? own.data.id.toLowerCase() : contentDigest(raw).slice(0, 32)
  return { id, reason: 'invalid_event', raw, message, redrives: redrivesOf(raw) }
}
