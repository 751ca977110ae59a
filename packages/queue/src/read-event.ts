import { identifyEvent } from '@tidings/shared/event-identity'
import { PARSE_OPTIONS } from '@tidings/shared/issue-message'
import { mayLoseDigits } from '@tidings/shared/json'
import {
  BARE_EVENT_FIELDS,
  bareEventSchema,
  isUsableTime,
  type StatusEvent,
  statusEventSchema,
  type UnresolvedEvent,
  unreadableItemSchema,
  unresolvedEventSchema,
} from '@tidings/shared/status-event'
import type { z } from 'zod'
import { isEventObject } from './dead-letters/entry.ts'

/** Source of a bare event that names none. */
const DEFAULT_SOURCE = 'queue'

export type ReadEvent =
  | { success: true; data: StatusEvent | UnresolvedEvent; message?: never }
  | { success: false; message: string }

/** What identifies a bare event of a job. */
export interface BareReception {
  /** Names the event by its place in the job. */
  key: string
  /** Milliseconds. */
  jobTimestamp: number
  recipientKey: string
}

/** Reads one item of a job. Never throws: a job that throws here could be neither stored nor dead-lettered. */
export function readEvent(raw: unknown, bare: BareReception): ReadEvent {
  try {
    return parseEvent(raw, bare)
  } catch {
    // It is nested so deeply that parsing it overflows the stack.
    return { success: false, message: 'event: cannot be read' }
  }
}

function parseEvent(raw: unknown, bare: BareReception): ReadEvent {
  if (typeof raw === 'string') return readText(raw, bare)
  if (!isEventObject(raw)) return checkEvent(raw)
  if (raw.notification_id === undefined) {
    const unreadable = unreadableItemSchema.safeParse(raw)
    if (unreadable.success) return { success: false, message: unreadable.data.unreadable }
    if (isAccepted(raw) && raw.provider_message_id !== undefined) return checkUnresolved(raw)
  }
  return isAccepted(raw) ? checkEvent(raw) : readBareEvent(raw, bare)
}

/** Reads an event that was kept as text, so that its numbers keep their digits: they may be in unknown fields only. */
function readText(text: string, bare: BareReception): ReadEvent {
  let event: unknown
  try {
    event = JSON.parse(text)
  } catch {
    return {
      success: false,
      message: 'event: Must be an object. This is text: not JSON, or longer than can be read.',
    }
  }
  return isEventObject(event) && mayLoseDigits(text) ? parseEvent(event, bare) : checkEvent(text)
}

/** Only an event that an API accepted has both fields. A bare event may have an `id` field that is not ours. */
const isAccepted = ({ id, received_at }: Record<string, unknown>) =>
  (id ?? undefined) !== undefined && (received_at ?? undefined) !== undefined

function readBareEvent(raw: Record<string, unknown>, reception: BareReception): ReadEvent {
  const bare = bareEventSchema.safeParse(raw, PARSE_OPTIONS)
  if (!bare.success)
    return { success: false, message: joinProblems(describeProblems(bare.error), ...describeCamelCase(raw)) }
  const { notification_type: type, source = DEFAULT_SOURCE, ...report } = bare.data
  const event = identifyEvent(report, {
    type,
    source,
    receivedAt: readTime(reception.jobTimestamp),
    fallbackKey: reception.key,
    recipientKey: reception.recipientKey,
  })
  // This schema also refuses values that PostgreSQL cannot store.
  return checkEvent(event)
}

function checkEvent(raw: unknown): ReadEvent {
  const event = statusEventSchema.safeParse(raw, PARSE_OPTIONS)
  return event.success ? event : { success: false, message: describeProblems(event.error) }
}

function checkUnresolved(raw: object): ReadEvent {
  const event = unresolvedEventSchema.safeParse(raw, PARSE_OPTIONS)
  return event.success ? event : { success: false, message: describeProblems(event.error) }
}

const CAMEL_CASE = BARE_EVENT_FIELDS.map(
  (name) => [name, name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())] as const,
).filter(([name, camelCase]) => name !== camelCase)

const describeCamelCase = (raw: object): string[] =>
  CAMEL_CASE.filter(([, camelCase]) => camelCase in raw).map(
    ([name, camelCase]) => `${camelCase}: The name of this field is ${name}.`,
  )

/** The job's time, or now when a producer wrote a time that is unusable, such as one in nanoseconds. */
function readTime(ms: number): Date {
  const time = new Date(ms)
  return isUsableTime(time.getTime()) ? time : new Date()
}

/** Lists the fields and rules that failed, without values. `whole` stands for the value as a whole. */
export function describeProblems(error: z.ZodError, whole = 'event'): string {
  return error.issues.map((issue) => `${issue.path.join('.') || whole}: ${issue.message}`).join('; ')
}

export const joinProblems = (...problems: readonly (string | undefined)[]) =>
  problems.filter((problem) => problem !== undefined).join('; ')
