import {
  createIORedisClient,
  type IRedisClient,
  type IRedisTransaction,
  Job,
  RedisQueueBackend,
} from 'bullmq'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { type JobQueue, openQueue, openRedis, type QueueBackend } from '../backend.ts'
import { assertReadable } from '../envelope.ts'
import {
  DEAD_LETTER_JOB,
  DEAD_LETTER_JOB_OPTIONS,
  DEAD_LETTER_QUEUE,
  ENVELOPE_JOB,
  ENVELOPE_JOB_OPTIONS,
  shardNames,
} from '../policy.ts'
import { countQueuedEvents, readDepth } from '../queue-depth.ts'
import { findShards } from '../shards.ts'
import { StoreUnreachableError } from '../store-unreachable.ts'
import {
  type DeadLetterEntry,
  diedAt,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  type PlacedEntry,
  toEntry,
  toJobData,
} from './entry.ts'
import type { DeadLetterStore, PageRequest } from './store.ts'

interface RedisOptions {
  backend: Extract<QueueBackend, { kind: 'redis' }>
  shards: number
  onError(error: Error): void
}

/** How long to wait for Redis at the start, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3_000
/** Somebody else changed an entry while it was being changed: read again. One of the two always gets through. */
const MAX_CHANGE_TRIES = 100

// One answer for a page instead of one for each entry: a walk through 200,000 is several times faster. It ends before
// the entry that is too much, unless that is the first one found.
const READ_DATA = `local data, total = {}, 0
for i, key in ipairs(KEYS) do
  local bytes = redis.call('HSTRLEN', key, 'data')
  if total > 0 and total + bytes > tonumber(ARGV[1]) then break end
  total = total + bytes
  data[i] = redis.call('HGET', key, 'data')
end
return data`
const answerSchema = z.array(z.string().nullable())

/** Queues what is to happen to the found entries, and says to which of them something will. */
type BuildChange = (multi: IRedisTransaction, found: DeadLetterEntry[]) => Promise<DeadLetterEntry[]>

/**
 * Dead letters in Redis. BullMQ keeps them in the sorted set `prioritized` and a hash for each; this reads
 * both directly, since BullMQ's own getters page by rank, which shifts while entries are removed.
 */
export async function openRedisDeadLetters(options: RedisOptions): Promise<DeadLetterStore> {
  const redis = openRedis(options.backend.url, 'operator', options.onError)
  try {
    await waitUntilReady(redis)
    return await createStore(redis, options)
  } catch (error) {
    // It would connect again for ever, and a worker opens the next one.
    redis.disconnect()
    throw error
  }
}

async function createStore(
  redis: Redis,
  { backend, shards, onError }: RedisOptions,
): Promise<DeadLetterStore> {
  const open = <Data>(name: string): JobQueue<Data> => openQueue<Data>(name, backend, redis, { onError })
  const dead = open<object>(DEAD_LETTER_QUEUE)
  const mains = shardNames(await findShards(backend, redis, shards)).map((name) => open<object>(name))
  await Promise.all([dead, ...mains].map((queue) => queue.waitUntilReady()))
  const order = dead.toKey('prioritized')
  let nextShard = Math.floor(Math.random() * shards)
  let lastChange: Promise<unknown> = Promise.resolve()

  /** What the first of these ids hold, null where there is no entry: as many of them as `maxBytes` hold. */
  async function readData(ids: readonly string[], maxBytes: number): Promise<(string | null)[]> {
    if (ids.length === 0) return []
    const keys = ids.map((id) => dead.toKey(id))
    return answerSchema.parse(await redis.eval(READ_DATA, keys.length, ...keys, maxBytes))
  }

  async function find(ids: readonly string[]): Promise<DeadLetterEntry[]> {
    const found = await readData(ids, Number.MAX_SAFE_INTEGER)
    return found.flatMap((data, index) => (data === null ? [] : [toEntry(ids[index] ?? '', parseData(data))]))
  }

  async function page({ after, limit, newestFirst = false }: PageRequest): Promise<PlacedEntry[]> {
    const placed: PlacedEntry[] = []
    let from = after
    // An entry may vanish between the two reads; a page of nothing but such entries must not look like the end.
    while (placed.length === 0) {
      const start = from === undefined ? undefined : `(${from}`
      const range = newestFirst
        ? await redis.zrange(
            order,
            start ?? '+inf',
            '-inf',
            'BYSCORE',
            'REV',
            'LIMIT',
            0,
            limit,
            'WITHSCORES',
          )
        : await redis.zrange(order, start ?? '-inf', '+inf', 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
      if (range.length === 0) return []
      const ids = range.filter((_, index) => index % 2 === 0)
      const found = await readData(ids, MAX_BATCH_BYTES)
      found.forEach((data, index) => {
        from = range[index * 2 + 1]
        if (data === null || from === undefined) return
        const entry = toEntry(ids[index] ?? '', parseData(data))
        placed.push({ entry, position: from, bytes: Buffer.byteLength(data) })
      })
    }
    return placed
  }

  /**
   * Watches the entries, reads them, lets `build` fill a transaction with what is to happen, and runs it. If
   * anybody touched one of them meanwhile, nothing happened and it starts again.
   */
  async function change(ids: readonly string[], build: BuildChange): Promise<DeadLetterEntry[]> {
    assertBatch(ids)
    if (ids.length === 0) return []
    for (let tries = 0; tries < MAX_CHANGE_TRIES; tries++) {
      await redis.watch(ids.map((id) => dead.toKey(id)))
      const found = await find(ids)
      const multi = beginTransaction(redis)
      const changing = await build(multi, found)
      if (changing.length === 0) {
        await redis.unwatch()
        return []
      }
      const results = await multi.exec()
      if (results === null) continue
      valuesOf(results)
      return changing
    }
    throw new Error('The same dead letters are being changed by others all the time. Try again later.')
  }

  /** WATCH belongs to the connection, so changes take turns. */
  function inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const turn = lastChange.then(run)
    lastChange = turn.catch(() => undefined)
    return turn
  }

  async function enqueue(multi: IRedisTransaction, events: unknown[]): Promise<void> {
    const main = mains[nextShard++ % shards]
    if (main === undefined) throw new Error('There must be at least one shard.')
    // A transaction of Redis does not roll back: with memory full, the add would fail and the removals go
    // through. A plain command that needs memory makes Redis refuse the transaction as a whole.
    multi.hset(`${backend.prefix}:dead-letters`, { last_requeue_at: new Date().toISOString() })
    const job = new Job(main, ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS).asJSON()
    assertReadable(job.data)
    await redisBackend(main).addJobToTransaction(multi, job, '')
  }

  return {
    count: () => redis.zcard(order),
    isEmpty: async () => (await redis.exists(order)) === 0,
    page,
    sizes: async (ids) => {
      const pipeline = redis.pipeline()
      for (const id of ids) pipeline.hstrlen(dead.toKey(id), 'data')
      const sizes = z.array(z.int()).parse(valuesOf(await pipeline.exec()))
      return new Map(
        ids.map((id, index) => [id, sizes[index] ?? 0] as const).filter(([, bytes]) => bytes > 0),
      )
    },
    get: find,
    requeue: (ids, prepare) =>
      inTurn(() =>
        change(ids, async (multi, found) => {
          const prepared = found.map((entry) => ({ entry, event: prepare(entry) }))
          const moving = prepared.filter(({ event }) => event !== undefined)
          const events = moving.map(({ event }) => event)
          if (events.length > 0) await enqueue(multi, events)
          for (const { entry } of moving) queueRemoval(multi, dead, entry.id)
          return moving.map(({ entry }) => entry)
        }),
      ),
    discard: async (entries) => {
      const wanted = diedAt(entries)
      const discarded = await inTurn(() =>
        change([...wanted.keys()], async (multi, found) => {
          const same = found.filter((entry) => wanted.get(entry.id) === entry.dead_at)
          for (const entry of same) queueRemoval(multi, dead, entry.id)
          return same
        }),
      )
      return discarded.map((entry) => entry.id)
    },
    rewrite: async (ids, rewriteEntry) => {
      const rewritten = await inTurn(() =>
        change(ids, async (multi, found) => {
          for (const entry of found)
            multi.hset(dead.toKey(entry.id), { data: JSON.stringify(toJobData(rewriteEntry(entry))) })
          return found
        }),
      )
      return rewritten.map((entry) => entry.id)
    },
    restore: async (entries) => {
      assertBatch(entries)
      const pipeline = redis.pipeline()
      for (const { id } of entries) pipeline.exists(dead.toKey(id))
      const existed = valuesOf(await pipeline.exec())
      const added = entries.filter((_, index) => existed[index] === 0)
      await dead.addBulk(
        added.map((entry) => ({
          name: DEAD_LETTER_JOB,
          data: toJobData(entry),
          opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId: entry.id },
        })),
      )
      return added.map((entry) => entry.id)
    },
    depth: () => readDepth(mains),
    countQueuedEvents: () => countQueuedEvents(mains),
    close: async () => {
      await Promise.all([dead, ...mains].map((queue) => queue.close()))
      redis.disconnect()
    },
  }
}

/** Somebody who writes to Redis by hand may write something else than JSON: then the text, as TolerantJob has it. */
function parseData(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

/**
 * A transaction that sends each script whole the first time. BullMQ sends its digest only, and a server that
 * does not know it, after a restart for one, would refuse that command of the transaction and run the others.
 */
function beginTransaction(redis: Redis): IRedisTransaction {
  const client: IRedisClient = createIORedisClient(redis)
  const multi = client.multi()
  const runByDigest = multi.runCommand.bind(multi)
  const sent = new Set<string>()
  multi.runCommand = (name, args) => {
    if (sent.has(name)) return runByDigest(name, args)
    sent.add(name)
    const { lua, numberOfKeys } = scriptSchema.parse(Reflect.get(redis.scriptsSet, name))
    const whole: unknown = Reflect.get(multi, 'eval')
    if (typeof whole !== 'function') throw new Error('This connection cannot send scripts.')
    whole.call(multi, lua, numberOfKeys, ...args)
    return multi
  }
  return multi
}

/** What the connection keeps of a script that BullMQ has defined. */
const scriptSchema = z.object({ lua: z.string(), numberOfKeys: z.int() })

/** @throws when a command of the pipeline or transaction failed. */
function valuesOf(results: [Error | null, unknown][] | null): unknown[] {
  return (results ?? []).map(([error, value]) => {
    if (error) throw error
    return value
  })
}

function queueRemoval(multi: IRedisTransaction, queue: JobQueue<object>, id: string): void {
  const withChildren = 0
  redisBackend(queue).execCommand(multi, 'removeJob', [
    queue.toKey(id),
    queue.toKey('repeat'),
    id,
    withChildren,
    queue.toKey(''),
  ])
}

function redisBackend(queue: JobQueue<object>): RedisQueueBackend {
  if (queue.backend instanceof RedisQueueBackend) return queue.backend
  throw new Error('The queue is not on Redis.')
}

function assertBatch(batch: readonly unknown[]): void {
  if (batch.length > MAX_BATCH) throw new RangeError(`At most ${MAX_BATCH} dead letters at once.`)
}

async function waitUntilReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve, reject) => {
    const timeout = setTimeout(
      () => reject(new StoreUnreachableError('Redis does not answer.')),
      CONNECT_TIMEOUT_MS,
    )
    redis.once('ready', () => {
      clearTimeout(timeout)
      resolve()
    })
  })
}
