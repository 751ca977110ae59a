import type { Database } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { type JobQueue, openQueue, prepareQueueBackend, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, STATUS_QUEUE } from '@tidings/queue/policy'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import type { Releaser } from '@tidings/stack/releaser'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { type BackendKind, createTestBackend, createTestDatabase } from '@tidings/stack/testing/test-context'
import type { Store } from '../jobs/batch-writer.ts'
import { type StatusWorker, type StatusWorkerOptions, startStatusWorker } from '../status-worker.ts'

const ignore = () => {}
const POLL = { intervalMs: 10, timeoutMs: 30_000 }

type StartOptions = Pick<StatusWorkerOptions, 'db' | 'backend' | 'lifecycle'> & Partial<StatusWorkerOptions>

/** Starts a worker in the test's own process: one shard, two writers, short pauses, no log, no counters. */
export function startTestWorker(options: StartOptions): Promise<StatusWorker> {
  return startStatusWorker({
    shards: 1,
    recipientKey: DEFAULT_RECIPIENT_KEY,
    concurrency: 8,
    newerVersionWaitMs: 3_600_000,
    store: (events) => storeStatusEvents(options.db, events),
    writers: 2,
    count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
    log: createLogger('test', 'silent'),
    onWedged: ignore,
    timing: { sweepIntervalMs: 100, probeIntervalMs: 50, outageDelayMs: 50 },
    ...options,
  })
}

export interface TestWorkerOptions extends Partial<Pick<StatusWorkerOptions, 'count' | 'log' | 'timing'>> {
  /** Wraps the store, for example to make it fail. */
  wrapStore?(store: Store): Store
}

type Identified = { id: string; content_hash?: string | undefined }

/** A worker with its own database and queue. `open` prepares both, `start` also starts the worker. */
export class TestWorker {
  readonly db: Database
  readonly backend: QueueBackend
  readonly queue: JobQueue<unknown>
  readonly deadLetters: DeadLetterQueue
  readonly #releaser: Releaser

  private constructor(db: Database, backend: QueueBackend, releaser: Releaser) {
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', ignore) : undefined
    releaser.onRelease(() => redis?.disconnect())
    const open = <Data>(name: string): JobQueue<Data> =>
      releaser.add(openQueue<Data>(name, backend, redis, { onError: ignore }), (queue) => queue.close())
    this.db = db
    this.backend = backend
    this.queue = open(STATUS_QUEUE)
    this.deadLetters = open<DeadLetter>(DEAD_LETTER_QUEUE)
    this.#releaser = releaser
  }

  static async open(kind: BackendKind, releaser: Releaser): Promise<TestWorker> {
    const database = await createTestDatabase(releaser)
    const backend = await createTestBackend(kind, releaser, database)
    await prepareQueueBackend(backend)
    return new TestWorker(database.database, backend, releaser)
  }

  static async start(
    kind: BackendKind,
    releaser: Releaser,
    options?: TestWorkerOptions,
  ): Promise<TestWorker> {
    const worker = await TestWorker.open(kind, releaser)
    await worker.start(options)
    return worker
  }

  async start({ wrapStore, ...options }: TestWorkerOptions = {}): Promise<void> {
    const { db, backend } = this
    const lifecycle = createLifecycle(createLogger('test', 'silent'))
    this.#releaser.onRelease(() => lifecycle.release())
    const store: Store = (events) => storeStatusEvents(db, events)
    await startTestWorker({ db, backend, lifecycle, store: wrapStore?.(store) ?? store, ...options })
  }

  /** Adds one job that holds all these events. */
  enqueue(...events: unknown[]): Promise<{ id?: string | undefined }> {
    return this.queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  }

  async addUser(id: string): Promise<void> {
    await this.db.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, $2, 'A', '!') ON CONFLICT DO NOTHING`,
      [id, `${id}@example.com`],
    )
  }

  async findRows(...events: Identified[]): Promise<Record<string, unknown>[]> {
    const sql = 'SELECT * FROM notification_status WHERE id = ANY($1::uuid[])'
    return (await this.db.pool.query(sql, [events.map(({ id }) => id)])).rows
  }

  /** The dead letters of an event: those of its content if it has an idempotency key, otherwise all under its id. */
  async findDeadLetters({ id, content_hash = '' }: Identified): Promise<DeadLetter[]> {
    const prefix = `dead-${id}-${content_hash.slice(0, 8)}`
    const ids = (await this.deadLetters.getRanges(['prioritized'], 0, -1)).filter((each) =>
      each.startsWith(prefix),
    )
    const jobs = await Promise.all(ids.map((each) => this.deadLetters.getJob(each)))
    return jobs.flatMap((job) => job?.data ?? [])
  }

  async untilStored(...events: Identified[]): Promise<void> {
    await waitFor('rows', async () => (await this.findRows(...events)).length === events.length, POLL)
  }

  untilDead(event: Identified): Promise<DeadLetter> {
    return waitFor(`the dead letter of ${event.id}`, async () => (await this.findDeadLetters(event))[0], POLL)
  }

  /** Waits until the job is gone: each of its events is a row or a dead letter. */
  async untilDone({ id = '' }: { id?: string | undefined }): Promise<void> {
    await waitFor(`job ${id} to end`, async () => (await this.queue.getJob(id)) === undefined, POLL)
  }

  /** Waits until the queue holds no job in any state. */
  async untilIdle(): Promise<void> {
    const states = ['waiting', 'prioritized', 'active', 'delayed', 'failed'] as const
    await waitFor(
      'the queue to be empty',
      async () => (await this.queue.getJobCountByTypes(...states)) === 0,
      POLL,
    )
  }
}
