import type { Database } from '@tidings/db/database'
import { relayOutbox } from '@tidings/db/events/event-outbox'
import { countStoredEvents } from '@tidings/db/events/status-counts'
import { type EventReference, findStoredContent } from '@tidings/db/events/stored-content'
import type { JobQueue, QueueBackend } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import type { KeyedQueue } from '@tidings/queue/replication'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { LIMITS } from '@tidings/shared/status-event'
import type { Tracing } from '@tidings/telemetry/tracing'
import type { EventCounters } from '../jobs/process-envelope.ts'
import type { JobRecovery } from '../recover-jobs.ts'
import { Reconciler } from './reconciler.ts'
import { withSweepLock } from './sweep-lock.ts'
import { Sweeper, type SweeperOptions } from './sweeper.ts'

export interface SweepingOptions {
  db: Database
  backend: QueueBackend
  shards: number
  queues: readonly JobQueue<unknown>[]
  /** Writes, and resolves when ACK_REPLICAS replicas have received it. */
  writeSafely(queue: KeyedQueue, write: () => Promise<unknown>): Promise<void>
  unlessAway: NonNullable<SweeperOptions['unlessAway']>
  recovery: Pick<JobRecovery, 'run'> | undefined
  /** See digestRecipient. */
  recipientKey: string
  bury(failedEvents: readonly FailedEvent[]): Promise<void>
  count: EventCounters
  lifecycle: Lifecycle
  log: Logger
  tracing: Tracing | undefined
  onError(error: Error): void
  /** Time between two sweeps, in milliseconds. */
  sweepIntervalMs?: number | undefined
}

/**
 * Starts the work that a worker repeats every few seconds: it buries failed jobs, moves events from the outbox to the
 * queue, puts back jobs that are in no list, and walks through the dead letters when a walk is due.
 */
export function startSweeping(options: SweepingOptions): Sweeper {
  const {
    db,
    backend,
    shards,
    queues,
    writeSafely,
    unlessAway,
    recovery,
    bury,
    count,
    lifecycle,
    log,
    tracing,
    onError,
  } = options
  const findStored = (events: readonly EventReference[]) => findStoredContent(db, events)
  const reconciler = new Reconciler({
    openStore: () => openDeadLetters({ backend, shards, onError, skipAway: true }),
    findStored,
    countStored: () => countStoredEvents(db),
    // Each of these events was accepted twice: the dead letter was a second copy of a stored event.
    onRemoved: (deadLetters) => count.duplicate(deadLetters),
    log,
  })
  lifecycle.onRelease('reconciler', () => reconciler.close())

  let nextShard = 0
  const publishTo = (answering: readonly JobQueue<unknown>[]) => async (events: unknown[]) => {
    const queue = answering[nextShard++ % answering.length]
    if (queue === undefined) throw new Error('There must be at least one shard.')
    await writeSafely(queue, () => queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS))
  }
  const sweeper = new Sweeper({
    queues,
    unlessAway,
    recipientKey: options.recipientKey,
    bury,
    findStored,
    exclusively: (work) => withSweepLock(db.pool, work),
    async afterSweep(answering) {
      while ((await relayOutbox(db, LIMITS.envelopeEvents, publishTo(answering))) > 0);
      reconciler.walkIfDue()
      await recovery?.run(answering.map(({ name }) => name))
    },
    onBuried: (reason) => count.dead(reason),
    onSwept: (buried, startedAt) =>
      tracing?.recordSpan('sweep failed jobs', startedAt, { 'tidings.buried': buried }),
    log,
    intervalMs: options.sweepIntervalMs,
  })
  lifecycle.onRelease('sweeper', () => sweeper.close())
  return sweeper
}
