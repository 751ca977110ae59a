import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import type { ParsedEnvelope } from '@tidings/queue/envelope'
import { ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import type { FailedAttempt } from '@tidings/shared/dead-letter'
import type { StatusEvent, UnresolvedEvent } from '@tidings/shared/status-event'
import type { Job } from 'bullmq'
import { failedInJob, invalidInJob } from '../dead-letters/failed-events.ts'
import type { WriteResult } from './batch-writer.ts'
import { type Look, UNKNOWN_NOTIFICATION } from './resolve-unresolved.ts'

/** What one run of a job did. */
interface Run {
  events: readonly StatusEvent[]
  /** One for each of `events`. */
  results: readonly WriteResult[]
  look: Look
  /** Whether the job waits for events that name the notifications of others. */
  isWaiting: boolean
}

interface Outcomes {
  failedEvents: FailedEvent[]
  /** Events to be tried again. */
  retries: (StatusEvent | UnresolvedEvent)[]
  /** By event id: the failed attempts of `retries`, oldest first. */
  failures: Record<string, FailedAttempt[]>
}

/** Sorts the events of a job that became no row: dead letters, and events to be tried again. */
export function sortOutcomes(job: Job, parsed: ParsedEnvelope, run: Run): Outcomes {
  const { events, results, look, isWaiting } = run
  const failedEvents = parsed.invalid.map((item) => invalidInJob(job, item))
  const retries: Outcomes['retries'] = []
  const failures: Outcomes['failures'] = {}
  const at = new Date().toISOString()

  const sort = (event: StatusEvent | UnresolvedEvent, result: WriteResult | undefined) => {
    const earlier = parsed.failures[event.id] ?? []
    if (result?.outcome === 'dead') failedEvents.push(failedInJob(job, event, result, earlier))
    if (result?.outcome !== 'retry') return
    const { error } = result
    // BullMQ counts no attempts of a job that waits, so those of its events are counted here.
    if (isWaiting && earlier.length + 1 >= ENVELOPE_JOB_OPTIONS.attempts) {
      failedEvents.push(failedInJob(job, event, { reason: 'retries_exhausted', error }, earlier))
      return
    }
    retries.push(event)
    failures[event.id] = [...earlier, { at, ...error }]
  }

  events.forEach((event, index) => {
    sort(event, results[index])
  })
  if (look.failure) for (const event of parsed.unresolved) sort(event, look.failure)
  if (!isWaiting)
    for (const event of look.unknown) failedEvents.push(failedInJob(job, event, UNKNOWN_NOTIFICATION))
  return { failedEvents, retries, failures }
}
