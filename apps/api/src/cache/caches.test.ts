import { openRedis } from '@tidings/queue/backend'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeRedis,
  startTestRedis,
  type TestDatabase,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import type { Redis } from 'ioredis'
import { Counter, Registry } from 'prom-client'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createCaches } from '../compose/open-caches.ts'
import {
  createPostgresBus,
  createRedisBus,
  type InvalidationBus,
  type Subscriber,
} from './invalidation-bus.ts'
import { createSharedCache } from './redis-cache.ts'
import { createTieredCache } from './tiered-cache.ts'

const log = createLogger('test', 'silent')
const releaser = useReleaser()

const newCounter = () =>
  new Counter({ name: 'reads', help: 'reads', labelNames: ['cache', 'tier'], registers: [new Registry()] })

async function readsByTier(counter: Counter<'cache' | 'tier'>): Promise<Record<string, number>> {
  const { values } = await counter.get()
  return Object.fromEntries(values.map(({ labels, value }) => [labels.tier, value]))
}

/** A bus between the caches of one process. */
function createLocalBus(): InvalidationBus & { loseConnection(): void } {
  const subscribers: Subscriber[] = []
  return {
    async publish(topic, ids) {
      for (const { onChange } of subscribers) onChange(topic, ids)
    },
    subscribe: (subscriber) => void subscribers.push(subscriber),
    loseConnection() {
      for (const { onGap } of subscribers) onGap()
    },
    close: () => Promise.resolve(),
  }
}

/** A store whose reads the test lets through one by one. */
function createSlowStore(value: { text: string }) {
  const waiting: (() => void)[] = []
  return {
    loads: 0,
    current: value,
    async load(ids: readonly string[]) {
      this.loads++
      const read = new Map(ids.map((id) => [id, this.current]))
      await new Promise<void>((resolve) => waiting.push(resolve))
      return read
    },
    async letThrough() {
      await waitFor('a read to arrive', async () => waiting.length > 0)
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}

describe('one tier', () => {
  it('loads once for any number of readers at once', async () => {
    const store = createSlowStore({ text: 'first' })
    const reads = newCounter()
    const cache = createTieredCache({
      name: 'test',
      maxEntries: 10,
      localTtlMs: 60_000,
      load: (ids) => store.load(ids),
      shared: undefined,
      bus: createLocalBus(),
      reads,
    })
    const readers = Promise.all(Array.from({ length: 100 }, () => cache.get('a')))
    await store.letThrough()
    expect(new Set(await readers)).toEqual(new Set([{ text: 'first' }]))
    expect(store.loads).toBe(1)
    expect(cache.get('a')).toEqual({ text: 'first' })
    expect(await readsByTier(reads)).toEqual({ local: 1, shared: 0, store: 1 })
  })

  it('does not keep what changed while it was being read', async () => {
    const store = createSlowStore({ text: 'old' })
    const cache = createTieredCache({
      name: 'test',
      maxEntries: 10,
      localTtlMs: 60_000,
      load: (ids) => store.load(ids),
      shared: undefined,
      bus: createLocalBus(),
      reads: newCounter(),
    })
    const early = cache.get('a')
    await waitFor('the read', async () => store.loads === 1)
    store.current = { text: 'new' }
    await cache.invalidate(['a'])
    const late = cache.get('a')
    await store.letThrough()
    await early
    await store.letThrough()
    expect(await late).toEqual({ text: 'new' })
    expect(cache.get('a')).toEqual({ text: 'new' })
  })

  it('forgets everything when messages may have been missed', async () => {
    const bus = createLocalBus()
    let loads = 0
    const cache = createTieredCache({
      name: 'test',
      maxEntries: 10,
      localTtlMs: 60_000,
      load: async (ids) => new Map(ids.map((id) => [id, { text: String(++loads) }])),
      shared: undefined,
      bus,
      reads: newCounter(),
    })
    expect(await cache.get('a')).toEqual({ text: '1' })
    bus.loseConnection()
    expect(await cache.get('a')).toEqual({ text: '2' })
  })

  it('passes on what the store says when it fails, and asks again next time', async () => {
    let broken = true
    const cache = createTieredCache({
      name: 'test',
      maxEntries: 10,
      localTtlMs: 60_000,
      load: async (ids) => {
        if (broken) throw new Error('store is away')
        return new Map(ids.map((id) => [id, { text: 'back' }]))
      },
      shared: undefined,
      bus: createLocalBus(),
      reads: newCounter(),
    })
    await expect(cache.get('a')).rejects.toThrow('store is away')
    broken = false
    expect(await cache.get('a')).toEqual({ text: 'back' })
  })
})

describe('a change that Redis cannot be told of', () => {
  it('is seen by this process at once, and told when Redis is back', async () => {
    const told: string[][] = []
    let isBusUp = false
    const shared = new Map([['a', { text: 'old' }]])
    const cache = createTieredCache({
      name: 'test',
      maxEntries: 10,
      localTtlMs: 60_000,
      load: async (ids) => new Map(ids.map((id) => [id, { text: 'new' }])),
      shared: {
        read: async (ids) => new Map([...shared].filter(([id]) => ids.includes(id))),
        write: async () => {},
        remove: async (ids) => isBusUp && ids.every((id) => shared.delete(id)),
      },
      bus: {
        ...createLocalBus(),
        publish: async (_topic, ids) => void told.push([...ids]),
      },
      reads: newCounter(),
    })
    expect(await cache.get('a')).toEqual({ text: 'old' })
    await cache.invalidate(['a'])
    expect(await cache.get('a')).toEqual({ text: 'new' })
    expect(told).toEqual([])
    isBusUp = true
    await waitFor('the message', async () => told.length > 0)
    expect(told).toEqual([['a']])
  })
})

/** What came, as text. Anything before the first gap, at which the bus begins to listen, is left out. */
async function record(bus: InvalidationBus): Promise<string[]> {
  const came: string[] = []
  bus.subscribe({
    onChange: (topic, ids) => void came.push(`${topic} ${ids}`),
    onGap: () => void came.push('gap'),
  })
  await waitFor('the bus to listen', async () => came.length > 0)
  came.length = 0
  return came
}

const UNREADABLE = ['', 'no JSON', '{"topic":', '{}', '{"topic":"user","ids":[1]}', 'null']

describe('the bus over PostgreSQL', () => {
  it('takes a message that it cannot read for a gap', async () => {
    const { database, url } = await createTestDatabase(releaser)
    const bus = releaser.add(createPostgresBus(database, { url, log }), (b) => b.close())
    const came = await record(bus)
    await database.pool.query('NOTIFY tidings_cache_changes')
    for (const text of UNREADABLE)
      await database.pool.query("SELECT pg_notify('tidings_cache_changes', $1)", [text])
    await bus.publish('user', ['a', 'b'])
    await waitFor('the last', async () => came.includes('user a,b'))
    expect(came).toEqual(['gap', ...UNREADABLE.map(() => 'gap'), 'user a,b'])
  })
})

describeRedis('the bus over Redis', () => {
  it('takes a message that it cannot read for a gap', async () => {
    const backend = await createTestBackend('redis', releaser)
    if (backend.kind !== 'redis') throw new Error('Redis was asked for')
    const { url, prefix } = backend
    const connection = releaser.add(
      openRedis(url, 'fail-fast', () => {}),
      (r) => r.disconnect(),
    )
    await waitFor('Redis', async () => connection.status === 'ready')
    const bus = releaser.add(createRedisBus(connection, { url, prefix, log }), (b) => b.close())
    const came = await record(bus)
    for (const text of UNREADABLE) await connection.publish(`${prefix}:cache:changes`, text)
    await bus.publish('user', ['a', 'b'])
    await waitFor('the last', async () => came.includes('user a,b'))
    expect(came).toEqual([...UNREADABLE.map(() => 'gap'), 'user a,b'])
  })

  it('tells of a gap only when it listens again', async () => {
    // One of its own, whose listeners may be cut off.
    const { url } = await startTestRedis(releaser)
    const prefix = 'bus'
    const connection = releaser.add(
      openRedis(url, 'fail-fast', () => {}),
      (r) => r.disconnect(),
    )
    await waitFor('Redis', async () => connection.status === 'ready')
    const bus = releaser.add(createRedisBus(connection, { url, prefix, log }), (b) => b.close())
    const listeners: unknown[] = []
    bus.subscribe({
      onChange: () => {},
      onGap: async () => void listeners.push(await connection.pubsub('NUMSUB', `${prefix}:cache:changes`)),
    })
    const answer = [`${prefix}:cache:changes`, 1]
    await waitFor('the first connection', async () => listeners.length === 1)
    await connection.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await waitFor('the connection after it', async () => listeners.length === 2)
    expect(listeners).toEqual([answer, answer])
  })
})

describeRedis('the tier in Redis', () => {
  const schema = z.object({ text: z.string() })
  let redis: Redis
  let keyPrefix: string
  beforeAll(async () => {
    const backend = await createTestBackend('redis', releaser)
    if (backend.kind !== 'redis') throw new Error('Redis was asked for')
    redis = releaser.add(
      openRedis(backend.url, 'fail-fast', () => {}),
      (r) => r.disconnect(),
    )
    keyPrefix = `${backend.prefix}:cache:`
    await waitFor('Redis', async () => redis.status === 'ready')
  })

  it('gives back what was written, for its time to live', async () => {
    const cache = createSharedCache(redis, { keyPrefix, ttlMs: 60_000, schema })
    await cache.write(new Map([['a', { text: 'x' }]]), 0)
    expect(await cache.read(['a', 'b'])).toEqual(new Map([['a', { text: 'x' }]]))
    expect(await redis.pttl(`${keyPrefix}a`)).toBeGreaterThan(0)
  })

  it('takes no value that was read before a change', async () => {
    const cache = createSharedCache(redis, { keyPrefix, ttlMs: 60_000, schema })
    await cache.remove(['c'])
    await cache.write(new Map([['c', { text: 'read before' }]]), 5)
    expect(await cache.read(['c'])).toEqual(new Map())
    await cache.write(new Map([['d', { text: 'took too long' }]]), 2_600)
    expect(await cache.read(['d'])).toEqual(new Map())
  })

  it.each(['{"other":1}', 'no JSON', ''])('ignores a value of another shape: %s', async (text) => {
    const cache = createSharedCache(redis, { keyPrefix, ttlMs: 60_000, schema })
    await redis.set(`${keyPrefix}e`, text, 'PX', 10_000)
    expect(await cache.read(['e'])).toEqual(new Map())
  })

  it('is empty without Redis, and never fails', async () => {
    const away = releaser.add(
      openRedis('redis://127.0.0.1:1', 'fail-fast', () => {}),
      (r) => r.disconnect(),
    )
    const cache = createSharedCache(away, { keyPrefix, ttlMs: 60_000, schema })
    await cache.write(new Map([['a', { text: 'x' }]]), 0)
    await cache.remove(['a'])
    expect(await cache.read(['a'])).toEqual(new Map())
  })
})

/** Ranks from 0, the n-th as likely as 1/n, from a fixed seed. */
function createZipf(count: number): () => number {
  const cumulative: number[] = []
  let total = 0
  for (let rank = 1; rank <= count; rank++) {
    total += 1 / rank
    cumulative.push(total)
  }
  let seed = 42
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    const point = (seed / 2 ** 32) * total
    let [low, high] = [0, count - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((cumulative[middle] ?? 0) < point) low = middle + 1
      else high = middle
    }
    return low
  }
}

const USERS = 10_000
/** From a cold start. */
const READS = 400_000
/** Readers at once. */
const CONCURRENCY = 200

describe('Zipf reads over 10,000 users', () => {
  let database: TestDatabase
  let ids: string[]
  beforeAll(async () => {
    database = await createTestDatabase(releaser)
    const rows = await database.database.pool.query<{ id: string }>(
      `INSERT INTO users (id, email, name, password)
       SELECT gen_random_uuid(), 'zipf-' || n || '@example.com', 'N', '!' FROM generate_series(1, $1) n RETURNING id`,
      [USERS],
    )
    ids = rows.rows.map((row) => row.id)
  })

  async function hitRate(redis: { connection: Redis; prefix: string } | undefined, bus: InvalidationBus) {
    const registry = new Registry()
    const { users } = createCaches({ db: database.database, bus, registry, redis })
    const next = createZipf(USERS)
    const seen = new Set<string>()
    for (let done = 0; done < READS; done += CONCURRENCY) {
      const asked = Array.from({ length: CONCURRENCY }, () => ids[next()] ?? '')
      const records = await Promise.all(asked.map((id) => users.get(id)))
      for (const id of asked) seen.add(id)
      const wrong = records.filter((record, n) => record?.user.id !== asked[n])
      expect(wrong).toEqual([])
      // Users change too: one write in a thousand reads.
      if (done % 1_000 === 0) await users.invalidate(asked.slice(0, 1))
    }
    // No sequence of a few that comes again and again.
    expect(seen.size).toBeGreaterThan(USERS * 0.95)
    const { values } = await (registry.getSingleMetric('tidings_cache_reads_total') as Counter).get()
    const ofUsers = values.filter(({ labels }) => labels.cache === 'user')
    const store = ofUsers.find(({ labels }) => labels.tier === 'store')?.value ?? 0
    const all = ofUsers.reduce((sum, { value }) => sum + value, 0)
    return { all, rate: 1 - store / all }
  }

  it('reach PostgreSQL in less than one of twenty cases, without Redis', async () => {
    const bus = releaser.add(createPostgresBus(database.database, { url: database.url, log }), (b) =>
      b.close(),
    )
    const { all, rate } = await hitRate(undefined, bus)
    // Readers of one id at once share a read and are counted once.
    expect(all).toBeGreaterThan(READS * 0.9)
    expect(rate).toBeGreaterThanOrEqual(0.95)
  })

  describeRedis('with Redis', () => {
    it('reach PostgreSQL in less than one of twenty cases', async () => {
      const backend = await createTestBackend('redis', releaser)
      if (backend.kind !== 'redis') throw new Error('Redis was asked for')
      const connection = releaser.add(
        openRedis(testRedisUrl(), 'fail-fast', () => {}),
        (r) => r.disconnect(),
      )
      await waitFor('Redis', async () => connection.status === 'ready')
      const { url, prefix } = backend
      const bus = releaser.add(createRedisBus(connection, { url, prefix, log }), (b) => b.close())
      const { all, rate } = await hitRate({ connection, prefix }, bus)
      // Readers of one id at once share a read and are counted once.
      expect(all).toBeGreaterThan(READS * 0.9)
      expect(rate).toBeGreaterThanOrEqual(0.95)
    })
  })
})
