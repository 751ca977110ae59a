import type { Database } from '@tidings/db/database'
import { relayOutbox } from '@tidings/db/events/event-outbox'
import { bookRepeats, type IngestAccount, readStoredByApis } from '@tidings/db/events/ingest-counters'
import { findStoredContent } from '@tidings/db/events/status-events'
import { findErasedUsers } from '@tidings/db/users/erased-users'
import {
  type JobQueue,
  type JobWorker,
  openQueue,
  openRedis,
  openWorker,
  type QueueBackend,
} from '@tidings/queue/backend'
import { type DeadLetterQueue, findBuried, identityOf } from '@tidings/queue/dead-letters/bury'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import {
  DEAD_LETTER_QUEUE,
  ENVELOPE_JOB,
  ENVELOPE_JOB_OPTIONS,
  LOCK_DURATION_MS,
  MAX_STALLED_COUNT,
  STALLED_INTERVAL_MS,
  shardNames,
} from '@tidings/queue/policy'
import { findShards } from '@tidings/queue/shards'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { LIMITS, type StatusEvent } from '@tidings/shared/status-event'
import type { Tracing } from '@tidings/telemetry/tracing'
import type { Redis } from 'ioredis'
import { createBury } from './dead-letters/bury.ts'
import { createReconciler } from './dead-letters/reconciler.ts'
import { withSweepLock } from './dead-letters/sweep-lock.ts'
import { createSweeper } from './dead-letters/sweeper.ts'
import { createAdaptiveConcurrency } from './jobs/adaptive-concurrency.ts'
import { createBatchWriter, type Store } from './jobs/batch-writer.ts'
import { type EventCounters, processEnvelope } from './jobs/process-envelope.ts'
import { followWrites, traceStore } from './jobs/trace-writes.ts'
import { createPostgresOutage } from './postgres-outage.ts'
import { startWatchdog } from './watchdog.ts'

export interface StatusWorkerOptions {
  db: Database
  backend: QueueBackend
  /** Those that hold jobs of a former, larger number are read too. */
  shards: number
  /** Most jobs run at once. Shared out among the shards and rounded up: each shard runs one at least. */
  concurrency: number
  /** Writes a batch; a parameter so that fault tests can break it. */
  store: Store
  /** Batches written at once. */
  writers: number
  /** Account on which repeats are booked, and nothing else. */
  account: IngestAccount
  count: EventCounters
  lifecycle: Lifecycle
  log: Logger
  tracing?: Tracing | undefined
  /** Called when the queue has work and this worker takes none: only a new process helps. */
  onWedged(): void
}

export interface StatusWorker {
  readonly queues: readonly JobQueue<unknown>[]
  readonly deadLetters: DeadLetterQueue
  /** False while jobs are not taken because PostgreSQL is away. */
  readonly isTakingJobs: boolean
}

/**
 * Starts taking jobs once the queue's store is reachable, and registers the release of everything it opens.
 */
export async function startStatusWorker(options: StatusWorkerOptions): Promise<StatusWorker> {
  const { db, backend, lifecycle, log, tracing } = options
  const onError = throttledWarning(log, 'queue')
  const redis = backend.kind === 'redis' ? await connectRedis(backend.url, onError) : undefined
  lifecycle.onRelease('redis', () => redis?.disconnect())

  const traced = tracing && { telemetry: tracing.queueTelemetry }
  const shards = await findShards(backend, redis, options.shards)
  if (shards > options.shards)
    log.warn({ shards, configured: options.shards }, 'taking jobs also from shards of a former QUEUE_SHARDS')
  const queues = shardNames(shards).map((name) =>
    openQueue<unknown>(name, backend, redis, { onError, ...traced }),
  )
  const deadLetters = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
  lifecycle.onRelease('queues', async () => {
    await Promise.allSettled([...queues, deadLetters].map((queue) => queue.close()))
  })

  const store = tracing ? traceStore(options.store, tracing) : options.store
  const workers: JobWorker<unknown>[] = []
  const slots = createAdaptiveConcurrency({
    writers: options.writers,
    max: options.concurrency,
    onChange() {
      for (const worker of workers) worker.concurrency = slotsPerQueue()
    },
  })
  const slotsPerQueue = () => Math.ceil(slots.count / queues.length)
  const plainWriter = createBatchWriter({
    store,
    writers: options.writers,
    flushEarly: (jobs) => jobs >= slots.batchTarget,
  })
  const writer = tracing ? followWrites(plainWriter, tracing) : plainWriter
  lifecycle.onRelease('writer', () => writer.drain())

  const book = (repeats: { duplicate: number; redelivered: number }) =>
    bookRepeats(db.pool, options.account, repeats)
  const gate = createPostgresOutage({
    log,
    // A write: a standby, a read-only server and a full disk answer SELECT 1 as well. A connection keeps the
    // read-only default it was opened with, but the pool drops one whose query failed.
    probe: () => book({ duplicate: 0, redelivered: 0 }),
    pause: async () => void (await Promise.all(workers.map((worker) => worker.pause(true)))),
    resume: async () => void (await Promise.all(workers.map((worker) => worker.resume()))),
  })
  const enqueue = async (events: unknown[]) => {
    await queues[0]?.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  }
  const findStored = (ids: readonly string[]) => findStoredContent(db.pool, ids)
  const reconciler = createReconciler({
    openStore: () => openDeadLetters({ backend, shards: options.shards, onError }),
    findStored,
    countStoredByApis: () => readStoredByApis(db.pool),
    log,
  })
  lifecycle.onRelease('reconciler', () => reconciler.close())
  const bury = createBury(deadLetters, (userIds) => findErasedUsers(db.pool, userIds), reconciler)
  const sweeper = createSweeper({
    queues,
    bury,
    reconciler,
    log,
    findStored,
    bookRepeats: book,
    exclusively: (work) => withSweepLock(db.pool, work),
    unpark: () => relayOutbox(db.pool, LIMITS.envelopeEvents, enqueue),
    onBuried: (reason) => options.count.dead(reason),
    onSwept: (buried, startedAt) =>
      tracing?.recordSpan('sweep failed jobs', startedAt, { 'tidings.buried': buried }),
  })
  lifecycle.onRelease('sweeper', () => sweeper.close())

  const context = {
    writer,
    onOpened: slots.note,
    bury,
    bookRepeats: book,
    async findBuried(events: readonly StatusEvent[], sourceJobId: string | null) {
      const dead = await findBuried(deadLetters, events, sourceJobId)
      await reconciler.check([...dead].map(identityOf))
      return dead
    },
    onRows: reconciler.noteStored,
    onOutage: gate.report,
    onSettleError: throttledWarning(log, 'settling'),
    count: options.count,
    quarantine: { occupied: false },
  }
  for (const queue of queues) {
    const worker = openWorker<unknown>(
      queue.name,
      backend,
      (job, token) => processEnvelope(job, token, context),
      {
        concurrency: slotsPerQueue(),
        lockDuration: LOCK_DURATION_MS,
        stalledInterval: STALLED_INTERVAL_MS,
        maxStalledCount: MAX_STALLED_COUNT,
        // After a connection error BullMQ would wait 15 s before it looks again.
        runRetryDelay: 1_000,
        ...traced,
      },
    )
    worker.on('error', onError)
    worker.on('failed', (job) => {
      if (job?.finishedOn !== undefined) sweeper.request()
    })
    worker.on('stalled', (jobId) => log.warn({ jobId }, 'job taken over from a dead worker'))
    workers.push(worker)
  }
  // Registered last, released first: no new jobs, then the ones in flight end.
  lifecycle.onRelease('workers', async () => {
    gate.close()
    await Promise.all(workers.map((worker) => worker.close()))
  })
  const stopWatchdog = startWatchdog({ queues, isPaused: () => gate.isOpen, onWedged: options.onWedged, log })
  lifecycle.onRelease('watchdog', stopWatchdog)
  sweeper.request()

  return {
    queues,
    deadLetters,
    get isTakingJobs() {
      return !gate.isOpen
    },
  }
}

/** Resolves when Redis has answered for the first time: a Queue built earlier may stay deaf. */
async function connectRedis(url: string, onError: (error: Error) => void): Promise<Redis> {
  const redis = openRedis(url, 'patient', onError)
  await redis.ping()
  return redis
}
