import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { type InvalidEvent, parseEnvelope, sourceJobIdOf } from '@tidings/queue/envelope'
import { MAX_STALLED_COUNT } from '@tidings/queue/policy'
import type { FailedAttempt } from '@tidings/shared/dead-letter'
import type { StatusEvent, UnresolvedEvent } from '@tidings/shared/status-event'
import type { Job } from 'bullmq'

type Failure = Pick<FailedEvent, 'reason' | 'error'>
type Identified = Pick<FailedEvent, 'eventId' | 'event' | 'contentHash' | 'redrives'>

/**
 * Makes a FailedEvent from an event that can never be stored.
 *
 * @param earlier its earlier failed attempts, oldest first
 */
export function failedInJob(
  job: Job,
  event: StatusEvent | UnresolvedEvent,
  failure: Failure,
  earlier: readonly FailedAttempt[] = [],
): FailedEvent {
  return { ...identify(event), ...failureOf(job, failure, earlier) }
}

/** Makes a FailedEvent from an item that the worker cannot read as an event. */
export function invalidInJob(job: Job, invalid: InvalidEvent): FailedEvent {
  return { ...identifyInvalid(invalid), ...failureOf(job, unreadable(invalid)) }
}

/** All events of a job that BullMQ gave up on: its attempts are used up, or it stalled too often. */
export function toFailedEvents(job: Job, recipientKey?: string): FailedEvent[] {
  const { events, unresolved, invalid, failures } = parseEnvelope(job, recipientKey)
  const stalled = job.stalledCounter > MAX_STALLED_COUNT
  const common = {
    // Each stall is one run that a worker did not finish. After too many stalls, BullMQ fails the job without a run.
    attempts: stalled ? job.stalledCounter : job.attemptsMade,
    sourceJobId: sourceJobIdOf(job),
  }
  const failedAt = new Date(job.finishedOn ?? job.timestamp)
  const jobError = { code: stalled ? 'stalled' : 'failed', message: job.failedReason ?? 'The job failed.' }
  const fromEvent = (event: StatusEvent | UnresolvedEvent): FailedEvent => {
    const history = failures[event.id] ?? []
    const last = history.at(-1)
    return {
      ...common,
      ...identify(event),
      reason: stalled ? 'stalled' : 'retries_exhausted',
      error: last && !stalled ? { code: last.code, message: last.message } : jobError,
      history,
      firstFailedAt: history[0] ? new Date(history[0].at) : failedAt,
    }
  }
  const fromInvalid = (item: InvalidEvent): FailedEvent => ({
    ...common,
    ...identifyInvalid(item),
    ...unreadable(item),
    firstFailedAt: failedAt,
  })
  return [...events.map(fromEvent), ...unresolved.map(fromEvent), ...invalid.map(fromInvalid)]
}

const identify = (event: StatusEvent | UnresolvedEvent): Identified => ({
  eventId: event.id,
  event,
  contentHash: event.content_hash,
  redrives: event.redrives ?? 0,
})

const identifyInvalid = ({ id, raw, redrives }: InvalidEvent): Identified => ({
  eventId: id,
  event: raw,
  redrives,
})

const unreadable = ({ reason, message }: InvalidEvent): Failure => ({
  reason,
  error: { code: reason, message },
})

function failureOf(job: Job, failure: Failure, earlier: readonly FailedAttempt[] = []) {
  const now = new Date()
  return {
    ...failure,
    attempts: Math.max(job.attemptsMade, earlier.length) + 1,
    history: [...earlier, { at: now.toISOString(), ...failure.error }],
    firstFailedAt: earlier[0] ? new Date(earlier[0].at) : now,
    sourceJobId: sourceJobIdOf(job),
  }
}
