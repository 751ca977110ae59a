import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestCluster, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { openQueue, openWorker, type RedisBackend } from './backend.ts'
import { mastersOf, nodeOf, openRedis } from './open-redis.ts'
import { shardNames } from './queue-names.ts'
import { waitUntilReady } from './wait-until-ready.ts'

const onError = () => {}

describeRedis('a Redis Cluster', () => {
  const releaser = useReleaser()
  let backend: RedisBackend
  beforeAll(async () => {
    const cluster = await startTestCluster(releaser)
    backend = { kind: 'redis', url: cluster.url, prefix: 'test' }
  })
  it('has the shards on all masters, and workers take their jobs', async () => {
    const redis = openRedis(backend, 'operator', onError)
    releaser.onRelease(() => redis.disconnect())
    await waitUntilReady(redis)
    expect(mastersOf(redis)).toHaveLength(3)
    const done: unknown[] = []
    const owners = new Set<unknown>()
    for (const name of shardNames(6)) {
      const queue = releaser.add(openQueue<unknown>(name, backend, redis, { onError }), (q) => q.close())
      const worker = releaser.add(
        openWorker<unknown>(name, backend, async (job) => void done.push(job.data), {}),
        (w) => w.close(),
      )
      worker.on('error', onError)
      owners.add(nodeOf(redis, queue.toKey('wait')).options.port)
      await queue.add('job', name)
    }
    await waitFor('the jobs', () => done.length === 6)
    expect(owners.size).toBe(3)
  })
})
