import { publishToRedis } from '@tidings/accounts/cache/changes'
import { openRedis } from '@tidings/queue/open-redis'
import { createLogger } from '@tidings/runtime/log'
import type { RedisCluster } from '@tidings/stack/servers/redis-cluster'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestCluster, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { consume, createLimiter } from '../auth/limiter.ts'
import { createRedisBus } from './redis-bus.ts'
import { createSharedCache } from './redis-cache.ts'

describeRedis('what API replicas share on a Redis Cluster', () => {
  const releaser = useReleaser()
  let cluster: RedisCluster
  let connection: ReturnType<typeof openRedis>
  const prefix = 'test'

  beforeAll(async () => {
    cluster = await startTestCluster(releaser, { settings: { 'cluster-require-full-coverage': 'no' } })
    connection = openRedis(cluster, 'fail-fast', () => {})
    releaser.onRelease(() => connection.disconnect())
    await waitFor('the cluster', () => connection.status === 'ready')
  })

  it('are cached values on all masters', async () => {
    const cache = createSharedCache(connection, {
      keyPrefix: 'test:cache:',
      ttlMs: 60_000,
      schema: z.number(),
    })
    const values = new Map(Array.from({ length: 20 }, (_, index) => [`id-${index}`, index]))
    await cache.write(values, 0)
    expect(await cache.read([...values.keys()])).toEqual(values)
    expect(await cache.remove([...values.keys()])).toBe(true)
    expect(await cache.read([...values.keys()])).toEqual(new Map())
  })

  it('are counters', async () => {
    const options = { name: 'any', points: 3, durationSeconds: 60 }
    const [one, other] = [
      createLimiter({ connection, prefix }, options),
      createLimiter({ connection, prefix }, options),
    ]
    for (const limiter of [one, other, one]) await consume(limiter, 'key')
    await expect(consume(other, 'key')).rejects.toThrow('Too many attempts')
  })

  it('are messages, and a gap while the node of the listener is away', async () => {
    const log = createLogger('test', 'silent')
    const bus = createRedisBus(connection, { url: cluster.url, prefix, log })
    releaser.onRelease(() => bus.close())
    const heard: string[] = []
    let gaps = 0
    bus.subscribe({ onChange: (_topic, ids) => void heard.push(...ids), onGap: () => void gaps++ })
    await waitFor('the subscription', () => gaps === 1)
    await publishToRedis({ connection, prefix }, 'user', ['first'])
    await waitFor('the message', () => heard.includes('first'))
    // The listener is on one of them.
    for (const [index, node] of cluster.nodes.slice(0, 2).entries()) {
      await node.kill9()
      await node.start()
      await cluster.untilHealthy()
      await waitFor('a message after it', async () => {
        await publishToRedis({ connection, prefix }, 'user', [`after ${index}`]).catch(() => {})
        return heard.includes(`after ${index}`)
      })
    }
    await cluster.nodes[2]?.kill9()
    await waitFor('the listener to be on another node', async () => {
      await publishToRedis({ connection, prefix }, 'user', ['last']).catch(() => {})
      return heard.includes('last') && gaps > 1
    })
  })
})
