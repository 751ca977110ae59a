import { handlePoolErrors } from '@tidings/db/database'
import { ConnectErrorTrackingClient } from '@tidings/db/failure'
import { applySettings } from '@tidings/db/session-settings'
import { withTransaction } from '@tidings/db/with-transaction'
import pg from 'pg'
import { type JobQueue, openQueue, type QueueBackend } from '../backend.ts'
import {
  ADD_JOBS,
  COUNT,
  COUNT_WORKERS,
  FIND,
  FIND_BY_EVENT,
  LOCK,
  PAGE_DOWN,
  PAGE_UP,
  REMOVE,
  REWRITE,
  SIZES,
} from '../bullmq/postgres-statements.ts'
import { assertReadable } from '../envelope.ts'
import { SILENCE_LIMIT_MS } from '../open-redis.ts'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '../policy.ts'
import { countQueuedEvents, type QueueDepth, readDepth } from '../queue-depth.ts'
import { shardNames } from '../queue-names.ts'
import { findShards } from '../shards.ts'
import type { DamagedDeadLetter } from './damage.ts'
import {
  assertBatch,
  buriedAt,
  type DeadLetterEntry,
  MAX_BATCH_BYTES,
  type PlacedEntry,
  toEntry,
  toJob,
  toJobData,
  toJobsData,
} from './entry.ts'
import type { DeadLetterStore, PageRequest, PrepareEvent } from './store.ts'

interface PostgresOptions {
  backend: Extract<QueueBackend, { kind: 'postgres' }>
  shards: number
  onError(error: Error): void
}

interface JobRow {
  id: string
  data: unknown
}

interface PlacedRow extends JobRow {
  priority: number
  seq: string
  bytes: number
}

/** Positions before the first and after the last entry: BullMQ's priority, and its sequence number within it. */
const FIRST_POSITION = [0, 0]
const LAST_POSITION = [2_147_483_647, 0]

export async function openPostgresDeadLetters(options: PostgresOptions): Promise<DeadLetterStore> {
  // Find the shards before the pool is opened, so that a failure leaves no pool open.
  const shards = await findShards(options.backend, undefined, options.shards)
  return new PostgresDeadLetterStore(options, shardNames(shards))
}

/**
 * Dead letters on BullMQ's PostgreSQL backend. It reads BullMQ's table directly and writes through BullMQ's
 * functions. Requeue, discard and rewrite each run in one transaction.
 */
class PostgresDeadLetterStore implements DeadLetterStore {
  readonly parts = [this]
  readonly away = []
  readonly #pool: pg.Pool
  readonly #dead: JobQueue<object>
  readonly #mains: JobQueue<object>[]
  readonly #writableShards: number
  #nextShard: number

  constructor({ backend, shards, onError }: PostgresOptions, queueNames: readonly string[]) {
    this.#pool = new pg.Pool({
      Client: ConnectErrorTrackingClient,
      connectionString: backend.url,
      application_name: 'tidings-dead-letters',
      max: 4,
      connectionTimeoutMillis: 3_000,
      onConnect: applySettings({
        search_path: `${pg.escapeIdentifier(backend.schema)}, public`,
        // PostgreSQL ends a slow statement, because the reconciler and operators wait for the answers.
        statement_timeout: SILENCE_LIMIT_MS,
      }),
      query_timeout: SILENCE_LIMIT_MS + 1_000,
      keepAlive: true,
    })
    handlePoolErrors(this.#pool, onError)
    const open = (name: string) => openQueue<object>(name, backend, undefined, { onError })
    this.#dead = open(DEAD_LETTER_QUEUE)
    this.#mains = queueNames.map(open)
    // Higher shards are only read: they hold jobs of a QUEUE_SHARDS that was lowered since.
    this.#writableShards = shards
    // A random start spreads the redrives of many short CLI runs over the shards.
    this.#nextShard = Math.floor(Math.random() * shards)
  }

  async count(): Promise<number> {
    return (await this.#pool.query<{ count: number }>(COUNT)).rows[0]?.count ?? 0
  }

  async page({ after, limit, newestFirst = false }: PageRequest): Promise<PlacedEntry[]> {
    const [priority, seq] = after?.split('.') ?? (newestFirst ? LAST_POSITION : FIRST_POSITION)
    const query = newestFirst ? PAGE_DOWN : PAGE_UP
    const found = await this.#pool.query<PlacedRow>(query, [priority, seq, limit, MAX_BATCH_BYTES])
    return found.rows.map((row) => ({
      entry: toEntry(row.id, row.data),
      position: `${row.priority}.${row.seq}`,
      bytes: row.bytes,
    }))
  }

  async sizes(ids: readonly string[]): Promise<Map<string, number>> {
    const found = await this.#pool.query<{ id: string; bytes: number }>(SIZES, [ids])
    return new Map(found.rows.map(({ id, bytes }) => [id, bytes]))
  }

  async findByEvent(eventIds: ReadonlySet<string>): Promise<string[]> {
    const found = await this.#pool.query<{ id: string }>(FIND_BY_EVENT, [[...eventIds]])
    return found.rows.map(({ id }) => id)
  }

  async get(ids: readonly string[]): Promise<DeadLetterEntry[]> {
    const found = await this.#pool.query<JobRow>(FIND, [ids])
    const byId = new Map(found.rows.map((row) => [row.id, row.data]))
    return ids.filter((id) => byId.has(id)).map((id) => toEntry(id, byId.get(id)))
  }

  requeue(ids: readonly string[], prepare: PrepareEvent): Promise<DeadLetterEntry[]> {
    return this.#change(ids, async (client, found) => {
      const prepared = found.map((entry) => ({ entry, event: prepare(entry) }))
      const moving = prepared.filter(({ event }) => event !== undefined)
      if (moving.length === 0) return []
      await this.#enqueue(client, toJobsData(moving))
      await client.query(REMOVE, [moving.map(({ entry }) => entry.id)])
      return moving.map(({ entry }) => entry)
    })
  }

  discard(entries: readonly DeadLetterEntry[]): Promise<string[]> {
    const wanted = buriedAt(entries)
    return this.#change([...wanted.keys()], async (client, found) => {
      const same = found.filter((entry) => wanted.get(entry.id) === entry.dead_at).map((entry) => entry.id)
      await client.query(REMOVE, [same])
      return same
    })
  }

  rewrite(ids: readonly string[], change: (entry: DeadLetterEntry) => DeadLetterEntry): Promise<string[]> {
    return this.#change(ids, async (client, found) => {
      const data = found.map((entry) => JSON.stringify(toJobData(change(entry))))
      await client.query(REWRITE, [found.map((entry) => entry.id), data])
      return found.map((entry) => entry.id)
    })
  }

  async restore(entries: readonly DeadLetterEntry[]): Promise<string[]> {
    assertBatch(entries)
    const existing = await this.sizes(entries.map((entry) => entry.id))
    const added = entries.filter((entry) => !existing.has(entry.id))
    await this.#dead.addBulk(added.map(toJob))
    return added.map((entry) => entry.id)
  }

  /** An entry is one row here, so it cannot lose a part. */
  async findDamage(): Promise<DamagedDeadLetter[]> {
    return []
  }

  async mendDamage(): Promise<DamagedDeadLetter[]> {
    return []
  }

  depth(): Promise<QueueDepth> {
    return readDepth(this.#mains, 'postgres')
  }

  async countWorkers(): Promise<number | undefined> {
    const found = await this.#pool.query<{ workers: number }>(COUNT_WORKERS, [
      this.#mains.map((queue) => queue.name),
    ])
    return found.rows[0]?.workers
  }

  countQueuedEvents(): Promise<number | undefined> {
    return countQueuedEvents(this.#mains)
  }

  async close(): Promise<void> {
    await Promise.all([this.#dead, ...this.#mains].map((queue) => queue.close()))
    await this.#pool.end()
  }

  /** Locks the entries and runs the change, both in one transaction. */
  async #change<Result>(
    ids: readonly string[],
    change: (client: pg.PoolClient, found: DeadLetterEntry[]) => Promise<Result>,
  ): Promise<Result> {
    assertBatch(ids)
    return withTransaction(this.#pool, async (client) => {
      const locked = await client.query<JobRow>(LOCK, [ids])
      return change(
        client,
        locked.rows.map((row) => toEntry(row.id, row.data)),
      )
    })
  }

  async #enqueue(client: pg.PoolClient, jobsData: readonly object[]): Promise<void> {
    const queue = this.#mains[this.#nextShard++ % this.#writableShards]
    if (queue === undefined) throw new Error('There must be at least one shard.')
    const jobs = jobsData.map((jobData) => {
      const data = JSON.stringify(jobData)
      assertReadable(data)
      return {
        name: ENVELOPE_JOB,
        data,
        opts: ENVELOPE_JOB_OPTIONS,
        timestamp: Date.now(),
        attempts: ENVELOPE_JOB_OPTIONS.attempts,
      }
    })
    await client.query(ADD_JOBS, [queue.name, JSON.stringify(jobs)])
  }
}
