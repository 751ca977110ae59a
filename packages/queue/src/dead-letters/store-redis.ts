import { type JobQueue, openQueue, type RedisBackend } from '../backend.ts'
import { openRedis, type RedisConnection } from '../open-redis.ts'
import { countQueuedEvents, countWorkers, type QueueDepth, readDepth } from '../queue-depth.ts'
import { deadLetterNames, isCluster, shardNames } from '../queue-names.ts'
import { versionOptions } from '../redis-rights.ts'
import { findShards } from '../shards.ts'
import { StoreUnreachableError } from '../store-unreachable.ts'
import { firstAnswer, unlessAway } from '../unless-away.ts'
import { waitUntilReady } from '../wait-until-ready.ts'
import type { DamagedDeadLetter } from './damage.ts'
import { assertBatch, type DeadLetterEntry } from './entry.ts'
import { placeOf } from './entry-id.ts'
import { RedisDeadLetterQueue } from './redis-queue.ts'
import type { DeadLetterPart, DeadLetterStore, PrepareEvent } from './store.ts'

interface RedisOptions {
  backend: RedisBackend
  shards: number
  onError(error: Error): void
  skipAway?: boolean
}

export async function openRedisDeadLetters(options: RedisOptions): Promise<DeadLetterStore> {
  const { backend, shards, onError, skipAway = false } = options
  const redis = openRedis(backend, 'operator', onError)
  try {
    await waitUntilReady(redis)
    const version = await versionOptions(redis)
    const open = (name: string) => openQueue<object>(name, backend, redis, { onError, ...version })
    const found = await findShards(backend, redis, shards, { skipAway })
    const dead = deadLetterNames(backend, found).map(open)
    const mains = shardNames(found).map(open)
    await Promise.all([...dead, ...mains].map((queue) => queue.waitUntilReady()))
    const queues = dead.map((queue, shard) => {
      // On a cluster, a transaction reaches only the shard that is beside the dead letters.
      const targets = isCluster(backend) ? mains.slice(shard, shard + 1) : mains.slice(0, shards)
      return new RedisDeadLetterQueue(redis, queue, targets)
    })
    const away = isCluster(backend) ? await findAway(redis, queues, skipAway) : new Set()
    return new RedisDeadLetterStore({
      redis,
      queues: queues.map((queue) => (away.has(queue) ? undefined : queue)),
      mains: mains.filter((_, shard) => !away.has(queues[shard])),
      shards,
      away: dead.flatMap(({ name }, shard) => (away.has(queues[shard]) ? [name] : [])),
    })
  } catch (error) {
    // Without this, the connection would retry for ever while the caller opens another store.
    redis.disconnect()
    throw error
  }
}

/**
 * The queues whose master does not answer.
 *
 * @throws the first error unless `skipAway` is set; also when no master answers.
 */
async function findAway(
  redis: RedisConnection,
  queues: readonly RedisDeadLetterQueue[],
  skipAway: boolean,
): Promise<ReadonlySet<unknown>> {
  const counts = queues.map((queue) => unlessAway(redis, queue.count()))
  await (skipAway ? firstAnswer(counts) : Promise.all(counts))
  const settled = await Promise.allSettled(counts)
  return new Set(queues.filter((_, shard) => settled[shard]?.status === 'rejected'))
}

/** Stands for a queue whose master is away. */
const NO_ENTRIES: DeadLetterPart = { page: async () => [] }

interface RedisStoreParts {
  redis: RedisConnection
  /** The queue of each shard; undefined while its master is away. */
  queues: readonly (RedisDeadLetterQueue | undefined)[]
  mains: readonly JobQueue<object>[]
  /** The configured number of shards. */
  shards: number
  away: readonly string[]
}

/**
 * The dead letters in Redis: in one queue, or on a cluster in one for each shard. An entry is in the queue that placeOf
 * names, or in another one if QUEUE_SHARDS was changed since it was buried.
 */
class RedisDeadLetterStore implements DeadLetterStore {
  readonly parts: readonly DeadLetterPart[]
  readonly away: readonly string[]
  readonly #redis: RedisConnection
  readonly #queues: RedisStoreParts['queues']
  /** Those that answer. */
  readonly #answering: readonly RedisDeadLetterQueue[]
  readonly #mains: readonly JobQueue<object>[]
  readonly #shards: number

  constructor({ redis, queues, mains, shards, away }: RedisStoreParts) {
    // One part for each shard, whether it answers or not: cursors hold a position for each.
    this.parts = queues.map((queue) => queue ?? NO_ENTRIES)
    this.away = away
    this.#redis = redis
    this.#queues = queues
    this.#answering = queues.filter((queue) => queue !== undefined)
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
    for (const [queue, own] of Map.groupBy(absent, ({ id }) => this.#queues[placeOf(id, places)])) {
      if (queue === undefined)
        throw new StoreUnreachableError('A master of the Redis Cluster does not answer')
      added.push(...(await queue.restore(own)))
    }
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

  async countWorkers(): Promise<number | undefined> {
    // BullMQ asks all nodes.
    return this.away.length > 0 ? undefined : countWorkers(this.#mains)
  }

  countQueuedEvents(): Promise<number | undefined> {
    return countQueuedEvents(this.#mains)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#answering, ...this.#mains].map((queue) => queue.close()))
    this.#redis.disconnect()
  }

  #askAll<Answer>(ask: (part: RedisDeadLetterQueue) => Promise<Answer>): Promise<Answer[]> {
    return Promise.all(this.#answering.map(ask))
  }

  /** Changes the entries where they are, queue by queue. */
  async #changeEach<Change>(
    ids: readonly string[],
    change: (part: RedisDeadLetterQueue, ids: readonly string[]) => Promise<Change[]>,
  ): Promise<Change[]> {
    assertBatch(ids)
    const [only] = this.#answering
    if (only !== undefined && this.parts.length === 1) return change(only, ids)
    const changed: Change[] = []
    for (const part of this.#answering) {
      const found = await part.sizes(ids)
      if (found.size > 0) changed.push(...(await change(part, [...found.keys()])))
    }
    return changed
  }
}

/** The number of queues that new entries go to. Those above QUEUE_SHARDS only hold earlier ones. */
const deadLetterPlaces = (found: number, shards: number): number => Math.min(found, shards)
