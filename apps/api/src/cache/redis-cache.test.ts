import { openRedis } from '@tidings/queue/open-redis'
import { describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { openTestRedis, type TestRedis } from '../testing/test-redis.ts'
import { createSharedCache, type SharedCache } from './redis-cache.ts'

describeRedis('the tier in Redis', () => {
  const releaser = useReleaser()
  const options = { ttlMs: 60_000, schema: z.object({ text: z.string() }) }
  let redis: TestRedis
  let keyPrefix: string
  let cache: SharedCache<{ text: string }>
  beforeAll(async () => {
    redis = await openTestRedis(releaser)
    keyPrefix = `${redis.prefix}:cache:`
    cache = createSharedCache(redis.connection, { ...options, keyPrefix })
  })

  it('returns written values until they expire', async () => {
    await cache.write(new Map([['a', { text: 'x' }]]), 0)
    expect(await cache.read(['a', 'b'])).toEqual(new Map([['a', { text: 'x' }]]))
    expect(await redis.connection.pttl(`${keyPrefix}a`)).toBeGreaterThan(0)
  })

  it('refuses a value that may have been read before a change', async () => {
    await cache.remove(['c'])
    await cache.write(new Map([['c', { text: 'read before' }]]), 5)
    expect(await cache.read(['c'])).toEqual(new Map())
    await cache.write(new Map([['d', { text: 'took too long' }]]), 2_600)
    expect(await cache.read(['d'])).toEqual(new Map())
  })

  it.each(['{"other":1}', 'no JSON', ''])('ignores a value of another shape: %s', async (text) => {
    await redis.connection.set(`${keyPrefix}e`, text, 'PX', 10_000)
    expect(await cache.read(['e'])).toEqual(new Map())
  })

  it('is empty without Redis, and never rejects', async () => {
    const unreachable = releaser.add(
      openRedis({ url: 'redis://127.0.0.1:1' }, 'fail-fast', () => {}),
      (opened) => opened.disconnect(),
    )
    const empty = createSharedCache(unreachable, { ...options, keyPrefix })
    await empty.write(new Map([['a', { text: 'x' }]]), 0)
    expect(await empty.remove(['a'])).toBe(false)
    expect(await empty.read(['a'])).toEqual(new Map())
  })
})
