import { z } from 'zod'
import type { JobQueue } from '../backend.ts'
import { REDIS_PRIORITIZED_KEY } from '../bullmq/redis-layout.ts'
import { addJob, beginTransaction, type RedisTransaction, removeJob } from '../bullmq/redis-transaction.ts'
import { nodeOf, type RedisConnection } from '../open-redis.ts'
import { type DamagedDeadLetter, findDamage, mendDamage } from './damage.ts'
import {
  assertBatch,
  buriedAt,
  type DeadLetterEntry,
  MAX_BATCH_BYTES,
  type PlacedEntry,
  SCAN_PAGE,
  toEntry,
  toJob,
  toJobData,
  toJobsData,
} from './entry.ts'
import { eventIdOf } from './entry-id.ts'
import type { DeadLetterPart, PageRequest, PrepareEvent } from './store.ts'

/** The maximum number of attempts of one change. In each round at least one competitor succeeds. */
const MAX_CHANGE_ATTEMPTS = 100

/**
 * Returns the data of entries, the first one always, until the byte limit is reached. One answer per page instead of
 * one per entry makes a walk through 200,000 entries several times faster.
 */
const READ_DATA = `local data, total = {}, 0
for i, key in ipairs(KEYS) do
  local bytes = redis.call('HSTRLEN', key, 'data')
  if total > 0 and total + bytes > tonumber(ARGV[1]) then break end
  total = total + bytes
  data[i] = redis.call('HGET', key, 'data')
end
return data`
const readDataAnswer = z.array(z.string().nullable())
/** ZSCAN answers with members and scores in turn. */
const scannedIds = z.array(z.string()).transform((items) => items.filter((_, index) => index % 2 === 0))

/** Queues the commands that change the found entries. Returns the entries that the commands change. */
type BuildChange = (multi: RedisTransaction, found: DeadLetterEntry[]) => Promise<DeadLetterEntry[]>

/**
 * The dead letters of one queue in Redis. BullMQ keeps their ids in a sorted set and each one in a hash. This store reads both
 * directly: BullMQ's own getters page by rank, which shifts while entries are removed.
 */
export class RedisDeadLetterQueue implements DeadLetterPart {
  readonly #redis: RedisConnection
  readonly #dead: JobQueue<object>
  readonly #targets: readonly JobQueue<object>[]
  readonly #orderKey: string
  #nextShard: number
  #lastChange: Promise<unknown> = Promise.resolve()

  /** @param targets the shards to which dead letters are sent back. */
  constructor(redis: RedisConnection, dead: JobQueue<object>, targets: readonly JobQueue<object>[]) {
    this.#redis = redis
    this.#dead = dead
    this.#targets = targets
    this.#orderKey = dead.toKey(REDIS_PRIORITIZED_KEY)
    this.#nextShard = Math.floor(Math.random() * targets.length)
  }

  count(): Promise<number> {
    return this.#redis.zcard(this.#orderKey)
  }

  async page({ after, limit, newestFirst = false }: PageRequest): Promise<PlacedEntry[]> {
    const placed: PlacedEntry[] = []
    let from = after
    // When every entry of a page vanishes between the two reads, read the next page: an empty page means the end.
    while (placed.length === 0) {
      const range = await this.#idsAfter(from, limit, newestFirst)
      if (range.length === 0) return []
      const ids = range.map(({ id }) => id)
      const found = await this.#readData(ids, MAX_BATCH_BYTES)
      found.forEach((data, index) => {
        const place = range[index]
        if (place === undefined) return
        from = place.position
        if (data === null) return
        const entry = toEntry(place.id, parseData(data))
        placed.push({ entry, position: place.position, bytes: Buffer.byteLength(data) })
      })
    }
    return placed
  }

  async sizes(ids: readonly string[]): Promise<Map<string, number>> {
    const pipeline = this.#redis.pipeline()
    for (const id of ids) pipeline.hstrlen(this.#dead.toKey(id), 'data')
    const sizes = z.array(z.int()).parse(valuesOf(await pipeline.exec()))
    return new Map(ids.map((id, index) => [id, sizes[index] ?? 0] as const).filter(([, bytes]) => bytes > 0))
  }

  async findByEvent(eventIds: ReadonlySet<string>): Promise<string[]> {
    const found = new Set<string>()
    for await (const batch of this.#redis.zscanStream(this.#orderKey, { count: SCAN_PAGE })) {
      for (const id of scannedIds.parse(batch)) if (eventIds.has(eventIdOf(id))) found.add(id)
    }
    return [...found]
  }

  async get(ids: readonly string[]): Promise<DeadLetterEntry[]> {
    const found = await this.#readData(ids, Number.MAX_SAFE_INTEGER)
    return found.flatMap((data, index) => (data === null ? [] : [toEntry(ids[index] ?? '', parseData(data))]))
  }

  requeue(ids: readonly string[], prepare: PrepareEvent): Promise<DeadLetterEntry[]> {
    return this.#change(ids, async (multi, found) => {
      const prepared = found.map((entry) => ({ entry, event: prepare(entry) }))
      const moving = prepared.filter(({ event }) => event !== undefined)
      if (moving.length > 0) {
        await this.#enqueue(multi, toJobsData(moving))
      }
      for (const { entry } of moving) removeJob(multi, this.#dead, entry.id)
      return moving.map(({ entry }) => entry)
    })
  }

  async discard(entries: readonly DeadLetterEntry[]): Promise<string[]> {
    const wanted = buriedAt(entries)
    const discarded = await this.#change([...wanted.keys()], async (multi, found) => {
      const same = found.filter((entry) => wanted.get(entry.id) === entry.dead_at)
      for (const entry of same) removeJob(multi, this.#dead, entry.id)
      return same
    })
    return discarded.map((entry) => entry.id)
  }

  async rewrite(
    ids: readonly string[],
    rewriteEntry: (entry: DeadLetterEntry) => DeadLetterEntry,
  ): Promise<string[]> {
    const rewritten = await this.#change(ids, async (multi, found) => {
      for (const entry of found)
        multi.hset(this.#dead.toKey(entry.id), { data: JSON.stringify(toJobData(rewriteEntry(entry))) })
      return found
    })
    return rewritten.map((entry) => entry.id)
  }

  async restore(entries: readonly DeadLetterEntry[]): Promise<string[]> {
    assertBatch(entries)
    const pipeline = this.#redis.pipeline()
    for (const { id } of entries) pipeline.exists(this.#dead.toKey(id))
    const existed = valuesOf(await pipeline.exec())
    const added = entries.filter((_, index) => existed[index] === 0)
    await this.#dead.addBulk(added.map(toJob))
    return added.map((entry) => entry.id)
  }

  findDamage(): Promise<DamagedDeadLetter[]> {
    return findDamage(this.#redis, this.#dead)
  }

  mendDamage(damaged: readonly DamagedDeadLetter[]): Promise<DamagedDeadLetter[]> {
    return mendDamage(this.#redis, this.#dead, damaged)
  }

  close(): Promise<void> {
    return this.#dead.close()
  }

  async #idsAfter(
    position: string | undefined,
    limit: number,
    newestFirst: boolean,
  ): Promise<{ id: string; position: string }[]> {
    const from = position === undefined ? undefined : (`(${position}` as const)
    const key = this.#orderKey
    const found = newestFirst
      ? await this.#redis.zrange(
          key,
          from ?? '+inf',
          '-inf',
          'BYSCORE',
          'REV',
          'LIMIT',
          0,
          limit,
          'WITHSCORES',
        )
      : await this.#redis.zrange(key, from ?? '-inf', '+inf', 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
    return found.flatMap((id, index) => (index % 2 === 0 ? [{ id, position: found[index + 1] ?? '' }] : []))
  }

  /**
   * Reads the data of these ids in order until `maxBytes` is reached, and always that of the first. Null for an id
   * without an entry.
   */
  async #readData(ids: readonly string[], maxBytes: number): Promise<(string | null)[]> {
    if (ids.length === 0) return []
    const keys = ids.map((id) => this.#dead.toKey(id))
    return readDataAnswer.parse(await this.#redis.eval(READ_DATA, keys.length, ...keys, maxBytes))
  }

  /** Changes run one after another: they share one connection, and WATCH covers the whole connection. */
  #change(ids: readonly string[], build: BuildChange): Promise<DeadLetterEntry[]> {
    const change = this.#lastChange.then(() => this.#changeWatched(ids, build))
    this.#lastChange = change.catch(() => undefined)
    return change
  }

  /**
   * Watches the entries, reads them, lets `build` fill a transaction, and runs it. When another client changes a
   * watched entry, Redis runs nothing and this retries, up to MAX_CHANGE_ATTEMPTS times.
   */
  async #changeWatched(ids: readonly string[], build: BuildChange): Promise<DeadLetterEntry[]> {
    assertBatch(ids)
    if (ids.length === 0) return []
    for (let attempt = 0; attempt < MAX_CHANGE_ATTEMPTS; attempt++) {
      await this.#redis.watch(ids.map((id) => this.#dead.toKey(id)))
      const multi = beginTransaction(this.#redis)
      const changing = await build(multi, await this.get(ids))
      if (changing.length === 0) {
        // On a cluster, UNWATCH alone would go to any node.
        await nodeOf(this.#redis, this.#orderKey).unwatch()
        return []
      }
      const results = await multi.exec()
      if (results === null) continue
      valuesOf(results)
      return changing
    }
    throw new Error('Others keep changing the same dead letters. Try again later.')
  }

  async #enqueue(multi: RedisTransaction, jobs: readonly object[]): Promise<void> {
    const queue = this.#targets[this.#nextShard++ % this.#targets.length]
    if (queue === undefined) throw new Error('There must be at least one shard.')
    // This HSET needs memory, so a full Redis refuses the whole transaction. Without it, Redis would fail the script
    // that adds the job and still run the removals: it does not roll back.
    multi.hset(`${this.#dead.opts.prefix}:dead-letters`, { last_requeue_at: new Date().toISOString() })
    for (const data of jobs) await addJob(multi, queue, data)
  }
}

/** Returns the text itself when a foreign program wrote data that is not JSON. */
function parseData(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

/** @throws the error of the first command that failed. */
function valuesOf(results: [Error | null, unknown][] | null): unknown[] {
  return (results ?? []).map(([error, value]) => {
    if (error) throw error
    return value
  })
}
