import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { ReplayKeys } from './replay-keys.ts'

const HOUR_MS = 60 * 60 * 1000

describe('replay keys', () => {
  it('are remembered for each hook', async () => {
    const keys = new ReplayKeys(undefined, 't')
    expect(await keys.isUsed('a', 'token')).toBe(false)
    await keys.remember('a', 'token', HOUR_MS)
    expect(await keys.isUsed('a', 'token')).toBe(true)
    expect(await keys.isUsed('b', 'token')).toBe(false)
  })
})

describeRedis('replay keys in Redis', () => {
  const releaser = useReleaser()

  it('are shared among replicas, expire, and are known to their own process while Redis is away', async () => {
    const server = await startTestRedis(releaser)
    const connect = () => {
      const redis = new Redis(server.url, { maxRetriesPerRequest: 0, enableOfflineQueue: true })
      redis.on('error', () => {})
      return releaser.add(redis, (opened) => opened.disconnect())
    }
    const [one, other] = [connect(), connect()]
    const [first, second] = [new ReplayKeys(one, 't'), new ReplayKeys(other, 't')]
    await first.remember('a', 'token', HOUR_MS)
    expect(await second.isUsed('a', 'token')).toBe(true)
    const [key = ''] = await one.keys('t:hook-replay:*')
    expect(key).not.toContain('token')
    expect(await one.pttl(key)).toBeGreaterThan(HOUR_MS - 60_000)

    await server.kill9()
    expect(await first.isUsed('a', 'token')).toBe(true)
    expect(await second.isUsed('a', 'another')).toBe(false)
    await second.remember('a', 'another', HOUR_MS)
    expect(await second.isUsed('a', 'another')).toBe(true)
  })
})
