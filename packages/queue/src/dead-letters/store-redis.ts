import { type JobQueue, openQueue, type RedisBackend } from '../backend.ts'
import { openRedis, type RedisConnection } from '../open-redis.ts'
import { countQueuedEvents, countWorkers, type QueueDepth, readDepth } from '../queue-depth.ts'
import { deadLetterNames, isCluster, shardNames } from '../queue-names.ts'
import { versionOptions } from '../redis-rights.ts'
import { findShards } from '../shards.ts'
import { waitUntilReady } from '../wait-until-ready.ts'
import type { DamagedDeadLetter } from './damage.ts'
import { assertBatch, type DeadLetterEntry } from './entry.ts'
import { placeOf } from './entry-id.ts'
import { RedisDeadLetterQueue } from './redis-queue.ts'
import type { DeadLetterStore, PrepareEvent } from './store.ts'

interface RedisOptions {
  backend: RedisBackend
  shards: number
  onError(error: Error): void
}

export async function openRedisDeadLetters(options: RedisOptions): Promise<DeadLetterStore> {
  const { backend, shards, onError } = options
  const redis = openRedis(backend, 'operator', onError)
  try {
    await waitUntilReady(redis)
    const version = await versionOptions(redis)
    const open = (name: string) => openQueue<object>(name, backend, redis, { onError, ...version })
    const found = await findShards(backend, redis, shards)
    const dead = deadLetterNames(backend, found).map(open)
    const mains = shardNames(found).map(open)
    await Promise.all([...dead, ...mains].map((queue) => queue.waitUntilReady()))
    const queues = dead.map((queue, shard) => {
      // On a cluster, a transaction reaches only the shard that is beside the dead letters.
      const targets = isCluster(backend) ? mains.slice(shard, shard + 1) : mains.slice(0, shards)
      return new RedisDeadLetterQueue(redis, queue, targets)
    })
    return new RedisDeadLetterStore(redis, queues, mains, shards)
  } catch (error) {
    // Without this, the connection would retry for ever while the caller opens another store.
    redis.disconnect()
    throw error
  }
}

/**
 * The dead letters in Redis: in one queue, or on a cluster in one for each shard. An entry is in the queue that placeOf
 * names, or in another one if QUEUE_SHARDS was changed since it was buried.
 */
class RedisDeadLetterStore implements DeadLetterStore {
  readonly parts: readonly RedisDeadLetterQueue[]
  readonly #redis: RedisConnection
  readonly #mains: readonly JobQueue<object>[]
  /** The configured number of shards. */
  readonly #shards: number

  constructor(
    redis: RedisConnection,
    parts: readonly RedisDeadLetterQueue[],
    mains: readonly JobQueue<object>[],
    shards: number,
  ) {
    this.#redis = redis
    this.parts = parts
    this.#mains = mains
    this.#shards = shards
  }

  async count(): Promise<number> {
    const counts = await this.#askAll((part) => part.count())
    return counts.reduce((sum, count) => sum + count, 0)
  }

  async sizes(ids: readonly string[]): Promise<Map<string, number>> {
    const sizes = await this.#askAll((part) => part.sizes(ids))
    return new Map(sizes.flatMap((found) => [...found]))
  }

  async findByEvent(eventIds: ReadonlySet<string>): Promise<string[]> {
    return (await this.#askAll((part) => part.findByEvent(eventIds))).flat()
  }

  async get(ids: readonly string[]): Promise<DeadLetterEntry[]> {
    const found = (await this.#askAll((part) => part.get(ids))).flat()
    const byId = new Map(found.map((entry) => [entry.id, entry]))
    return ids.flatMap((id) => byId.get(id) ?? [])
  }

  requeue(ids: readonly string[], prepare: PrepareEvent): Promise<DeadLetterEntry[]> {
    return this.#changeEach(ids, (part, own) => part.requeue(own, prepare))
  }

  discard(entries: readonly DeadLetterEntry[]): Promise<string[]> {
    const byId = new Map(entries.map((entry) => [entry.id, entry]))
    return this.#changeEach([...byId.keys()], (part, own) =>
      part.discard(own.flatMap((id) => byId.get(id) ?? [])),
    )
  }

  rewrite(ids: readonly string[], change: (entry: DeadLetterEntry) => DeadLetterEntry): Promise<string[]> {
    return this.#changeEach(ids, (part, own) => part.rewrite(own, change))
  }

  async restore(entries: readonly DeadLetterEntry[]): Promise<string[]> {
    assertBatch(entries)
    const present = this.parts.length === 1 ? new Map() : await this.sizes(entries.map(({ id }) => id))
    const absent = entries.filter(({ id }) => !present.has(id))
    const places = deadLetterPlaces(this.parts.length, this.#shards)
    const added: string[] = []
    for (const [part, own] of Map.groupBy(absent, ({ id }) => this.parts[placeOf(id, places)]))
      added.push(...((await part?.restore(own)) ?? []))
    return added
  }

  async findDamage(): Promise<DamagedDeadLetter[]> {
    return (await this.#askAll((part) => part.findDamage())).flat()
  }

  async mendDamage(damaged: readonly DamagedDeadLetter[]): Promise<DamagedDeadLetter[]> {
    return (await this.#askAll((part) => part.mendDamage(damaged))).flat()
  }

  depth(): Promise<QueueDepth> {
    return readDepth(this.#mains, 'redis')
  }

  countWorkers(): Promise<number | undefined> {
    return countWorkers(this.#mains)
  }

  countQueuedEvents(): Promise<number | undefined> {
    return countQueuedEvents(this.#mains)
  }

  async close(): Promise<void> {
    await Promise.all([...this.parts, ...this.#mains].map((queue) => queue.close()))
    this.#redis.disconnect()
  }

  #askAll<Answer>(ask: (part: RedisDeadLetterQueue) => Promise<Answer>): Promise<Answer[]> {
    return Promise.all(this.parts.map(ask))
  }

  /** Changes the entries where they are, queue by queue. */
  async #changeEach<Change>(
    ids: readonly string[],
    change: (part: RedisDeadLetterQueue, ids: readonly string[]) => Promise<Change[]>,
  ): Promise<Change[]> {
    assertBatch(ids)
    const [only] = this.parts
    if (only !== undefined && this.parts.length === 1) return change(only, ids)
    const changed: Change[] = []
    for (const part of this.parts) {
      const found = await part.sizes(ids)
      if (found.size > 0) changed.push(...(await change(part, [...found.keys()])))
    }
    return changed
  }
}

/** The number of queues that new entries go to. Those above QUEUE_SHARDS only hold earlier ones. */
const deadLetterPlaces = (found: number, shards: number): number => Math.min(found, shards)
