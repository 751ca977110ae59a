import type { Database } from '@tidings/db/database'
import { addIngestCounts } from '@tidings/db/events/ingest-counters'
import { resolveEvents } from '@tidings/db/events/resolve-events'
import { classifyFailure, sqlState } from '@tidings/db/failure'
import { findErasedUsers } from '@tidings/db/users/erased-users'
import { type JobQueue, type JobWorker, openWorker, type QueueBackend } from '@tidings/queue/backend'
import { buryEvents, type DeadLetterQueue, type FailedEvent } from '@tidings/queue/dead-letters/bury'
import { LOCK_DURATION_MS, MAX_STALLED_COUNT, STALLED_INTERVAL_MS } from '@tidings/queue/policy'
import { type KeyedQueue, writeReplicated } from '@tidings/queue/replication'
import { tryWrite } from '@tidings/queue/try-write'
import { createAwayBreaker, unlessAway } from '@tidings/queue/unless-away'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { RegularCheck } from '@tidings/runtime/regular-check'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import type { Tracing } from '@tidings/telemetry/tracing'
import { BurialLog } from './dead-letters/burial-log.ts'
import { startSweeping } from './dead-letters/start-sweeping.ts'
import { createAdaptiveConcurrency } from './jobs/adaptive-concurrency.ts'
import { createBatchWriter, type Store } from './jobs/batch-writer.ts'
import { type EnvelopeContext, type EventCounters, processEnvelope } from './jobs/process-envelope.ts'
import { createResolver, UNRESOLVED_WAIT_MS } from './jobs/resolve-unresolved.ts'
import { delayForOutage } from './jobs/return-job.ts'
import { followWrites, traceStore } from './jobs/trace-writes.ts'
import { openQueues } from './open-queues.ts'
import { createPostgresOutage } from './postgres-outage.ts'
import { startWatchdog } from './watchdog.ts'

export interface StatusWorkerOptions {
  db: Database
  backend: QueueBackend
  /** The number of shards. Higher shards that still hold jobs are read too. */
  shards: number
  /** Replicas of Redis that must have a dead letter before its job ends. Default: 0. */
  ackReplicas?: number
  /** See digestRecipient. */
  recipientKey: string
  /** Most jobs at once. They are divided among the shards and rounded up: each shard runs at least one. */
  concurrency: number
  /** How long a job that a newer version wrote waits for a newer worker, in milliseconds. */
  newerVersionWaitMs: number
  /** Writes a batch to PostgreSQL. Fault tests pass one that fails. */
  store: Store
  /** Batches written at once. */
  writers: number
  count: EventCounters
  lifecycle: Lifecycle
  log: Logger
  tracing?: Tracing | undefined
  /** Called when jobs are waiting and this worker takes none. Only a new process helps. */
  onWedged(): void
  /** Shorter pauses, for tests. */
  timing?: StatusWorkerTiming
}

/** How long the worker pauses, in milliseconds. */
export interface StatusWorkerTiming {
  /** Time between two sweeps over failed jobs and the outbox. */
  sweepIntervalMs?: number
  /** Time between two probes of an unreachable PostgreSQL. */
  probeIntervalMs?: number
  /** How long a job waits after it met an outage. */
  outageDelayMs?: number
  /** Time between two writes that check both stores. */
  checkIntervalMs?: number
  /** How long an event waits for another that names its notification. */
  unresolvedWaitMs?: number
}

export interface StatusWorker {
  readonly queues: readonly JobQueue<unknown>[]
  readonly deadLetters: readonly DeadLetterQueue[]
  /** False until PostgreSQL took a write, and while it takes none: the worker then takes no jobs. */
  readonly isTakingJobs: boolean
  /** Whether the queue's store took the last write that checked it. */
  readonly isQueueWritable: boolean
}

/** Time between two writes that check a store, and how long one may take, in milliseconds. Together under 10 s. */
const CHECK_INTERVAL_MS = 5_000
const CHECK_LIMIT_MS = 4_000

/**
 * Starts to take jobs, as soon as the queue's store is reachable. Registers with the lifecycle the release of
 * everything that it opens.
 */
export async function startStatusWorker(options: StatusWorkerOptions): Promise<StatusWorker> {
  const { db, backend, shards, count, lifecycle, log, tracing, timing } = options
  const onError = throttledWarning(log, 'queue')
  const opened = await openQueues({ backend, shards, lifecycle, log, tracing, onError })
  const { queues, deadLetters, recovery, version } = opened
  const workers: JobWorker<unknown>[] = []

  const concurrency = createAdaptiveConcurrency({
    writers: options.writers,
    max: options.concurrency,
    onChange() {
      for (const worker of workers) worker.concurrency = jobsPerQueue()
    },
  })
  const jobsPerQueue = () => Math.ceil(concurrency.jobs / queues.length)
  // It must be a write: a standby, a read-only server and a server with a full disk all answer a SELECT. A connection
  // keeps the read-only default from when it was opened, but the pool drops a connection whose query failed.
  const writeToPostgres = () => addIngestCounts(db, { duplicate: 0 })
  const outage = createPostgresOutage({
    log,
    probe: writeToPostgres,
    pause: async () => void (await Promise.all(workers.map((worker) => worker.pause(true)))),
    resume: async () => void (await Promise.all(workers.map((worker) => worker.resume()))),
    probeIntervalMs: timing?.probeIntervalMs,
  })
  const unlessMasterAway = <Answer>(asked: Promise<Answer>) => unlessAway(opened.redis, asked)
  const writeSafely = (queue: KeyedQueue, write: () => Promise<unknown>) =>
    unlessMasterAway(writeReplicated(queue, opened.redis, options.ackReplicas ?? 0, write))
  const burialQueues = deadLetters.map((queue) => {
    const unlessRefused = createAwayBreaker(opened.redis)
    return {
      addBulk: (jobs: Parameters<typeof queue.addBulk>[0]) =>
        unlessRefused(() => writeSafely(queue, () => queue.addBulk(jobs))),
    }
  })
  const burials = new BurialLog(log)
  lifecycle.onRelease('log of burials', () => burials.flush())
  const bury = async (failedEvents: readonly FailedEvent[]) => {
    await buryEvents(burialQueues, failedEvents, (userIds) => findErasedUsers(db, userIds))
    burials.record(failedEvents)
  }
  const warnOfVersion = throttledWarning(log, 'reading a job')
  const context: EnvelopeContext = {
    writer: openWriter(options, (jobs) => jobs >= concurrency.batchTarget),
    resolve: createResolver((events) => resolveEvents(db, events, options.recipientKey)),
    unresolvedWaitMs: timing?.unresolvedWaitMs ?? UNRESOLVED_WAIT_MS,
    onParsed: concurrency.record,
    bury,
    onOutage: outage.report,
    onSettleError: throttledWarning(log, 'recording outcomes'),
    count,
    suspectLock: { isHeld: false },
    recipientKey: options.recipientKey,
    newerVersionWaitMs: options.newerVersionWaitMs,
    onNewerVersion: (version) =>
      warnOfVersion(`it has version ${version}, this worker reads version 1. It waits for a newer worker.`),
    outageDelayMs: timing?.outageDelayMs,
  }
  const sweeper = startSweeping({
    db,
    backend,
    shards,
    queues,
    writeSafely,
    unlessAway: unlessMasterAway,
    recovery,
    bury,
    recipientKey: options.recipientKey,
    count,
    lifecycle,
    log,
    tracing,
    onError,
    sweepIntervalMs: timing?.sweepIntervalMs,
  })

  for (const queue of queues) {
    const worker = openWorker<unknown>(
      queue.name,
      backend,
      // A fetch that began before the pause still brings a job.
      (job, token) =>
        outage.isPaused ? delayForOutage({ job, token }, context) : processEnvelope(job, token, context),
      {
        concurrency: jobsPerQueue(),
        lockDuration: LOCK_DURATION_MS,
        stalledInterval: STALLED_INTERVAL_MS,
        maxStalledCount: MAX_STALLED_COUNT,
        // After a connection error. BullMQ's default is 15 s.
        runRetryDelay: 1_000,
        ...version,
        ...(tracing && { telemetry: tracing.queueTelemetry }),
      },
    )
    worker.on('error', onError)
    worker.on('failed', (job) => {
      if (job?.finishedOn !== undefined) sweeper.request()
    })
    worker.on('stalled', (jobId) => log.warn({ jobId }, 'job taken over from a worker that exited'))
    workers.push(worker)
  }
  // Registered after the writer and the queues, so released before them: jobs in flight still need both.
  lifecycle.onRelease('workers', async () => {
    outage.close()
    await Promise.all(workers.map((worker) => worker.close()))
  })
  const stopWatchdog = startWatchdog({
    queues,
    isPaused: () => outage.isPaused,
    onWedged: options.onWedged,
    log,
  })
  lifecycle.onRelease('watchdog', stopWatchdog)
  sweeper.request()

  // An idle worker meets an outage here, not with its next job.
  const checkTiming = { intervalMs: timing?.checkIntervalMs ?? CHECK_INTERVAL_MS, limitMs: CHECK_LIMIT_MS }
  const postgresCheck = new RegularCheck({
    ...checkTiming,
    // A paused worker already probes more often.
    check: async () => {
      if (!outage.isPaused) await writeToPostgres()
    },
    onFailure(error) {
      if (classifyFailure(error) !== 'outage') return
      outage.report({ code: sqlState(error) ?? 'unknown', message: errorMessage(error) })
    },
  })
  const { redis } = opened
  const queueCheck =
    redis && backend.kind === 'redis'
      ? new RegularCheck({
          ...checkTiming,
          check: () => tryWrite(redis, backend, shards),
          onFailure: onError,
        })
      : postgresCheck
  lifecycle.onRelease('checks', () => {
    postgresCheck.close()
    queueCheck.close()
  })

  return {
    queues,
    deadLetters,
    get isTakingJobs() {
      return postgresCheck.isOk && !outage.isPaused
    },
    get isQueueWritable() {
      return queueCheck.isOk
    },
  }
}

function openWriter(
  { store, writers, tracing, lifecycle }: StatusWorkerOptions,
  flushEarly: (jobs: number) => boolean,
) {
  const writer = createBatchWriter({
    store: tracing ? traceStore(store, tracing) : store,
    writers,
    flushEarly,
  })
  lifecycle.onRelease('writer', () => writer.drain())
  return tracing ? followWrites(writer, tracing) : writer
}
