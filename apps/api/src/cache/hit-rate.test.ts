import type { RedisConnection } from '@tidings/queue/open-redis'
import { createLogger } from '@tidings/runtime/log'
import {
  createTestDatabase,
  describeRedis,
  directUrlOf,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { type Counter, Registry } from 'prom-client'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCaches } from '../compose/create-caches.ts'
import { openTestRedis } from '../testing/test-redis.ts'
import type { InvalidationBus } from './invalidation-bus.ts'
import { PostgresBus } from './postgres-bus.ts'
import { createRedisBus } from './redis-bus.ts'

const USERS = 2_000
/** From a cold start. */
const READS = 80_000
const CONCURRENT_READS = 200

/** Draws ranks from 0 by Zipf's law, the n-th with weight 1/n, from a fixed seed. */
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

describe('Zipf-distributed reads of users', () => {
  const log = createLogger('test', 'silent')
  const releaser = useReleaser()
  let test: TestDatabase
  let ids: string[]
  beforeAll(async () => {
    test = await createTestDatabase(releaser)
    const { rows } = await test.database.pool.query<{ id: string }>(
      `INSERT INTO users (id, email, name, password)
       SELECT gen_random_uuid(), 'zipf-' || n || '@example.com', 'N', '!' FROM generate_series(1, $1) n RETURNING id`,
      [USERS],
    )
    ids = rows.map(({ id }) => id)
  })

  async function expectHits(bus: InvalidationBus, redis?: { connection: RedisConnection; prefix: string }) {
    const registry = new Registry()
    const { users } = createCaches({ db: test.database, bus, registry, redis })
    const nextRank = createZipf(USERS)
    const seen = new Set<string>()
    for (let done = 0; done < READS; done += CONCURRENT_READS) {
      const asked = Array.from({ length: CONCURRENT_READS }, () => ids[nextRank()] ?? '')
      const found = await Promise.all(asked.map((id) => users.get(id)))
      for (const id of asked) seen.add(id)
      expect(found.filter((cached, n) => cached?.user.id !== asked[n])).toEqual([])
      // One change per thousand reads.
      if (done % 1_000 === 0) await users.invalidate(asked.slice(0, 1))
    }
    // The generator does not repeat a short cycle.
    expect(seen.size).toBeGreaterThan(USERS * 0.95)
    const { values } = await (registry.getSingleMetric('tidings_cache_reads_total') as Counter).get()
    const ofUsers = values.filter(({ labels }) => labels.cache === 'user')
    const fromStore = ofUsers.find(({ labels }) => labels.tier === 'store')?.value ?? 0
    const all = ofUsers.reduce((sum, { value }) => sum + value, 0)
    // Concurrent readers of one id share a read, which counts once.
    expect(all).toBeGreaterThan(READS * 0.9)
    expect(1 - fromStore / all).toBeGreaterThanOrEqual(0.95)
  }

  it('reach PostgreSQL at most once in twenty reads, without Redis', async () => {
    const bus = new PostgresBus(test.database, { url: directUrlOf(test.url), log })
    releaser.onRelease(() => bus.close())
    await expectHits(bus)
  })

  describeRedis('with Redis', () => {
    it('reach PostgreSQL at most once in twenty reads', async () => {
      const { url, prefix, connection } = await openTestRedis(releaser)
      const bus = releaser.add(createRedisBus(connection, { url, prefix, log }), (opened) => opened.close())
      await expectHits(bus, { connection, prefix })
    })
  })
})
