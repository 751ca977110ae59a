import { parseRedisUrl } from '@tidings/runtime/redis-url'
import type { SentinelSet } from '@tidings/stack/servers/redis-sentinel'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestSentinels, useReleaser } from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { openQueue, openWorker, type RedisBackend } from './backend.ts'
import { openRedis } from './open-redis.ts'
import { FollowingSentinelConnector } from './sentinel-connector.ts'
import { waitUntilReady } from './wait-until-ready.ts'

const onError = () => {}
/** How long a queue may take until it works on a new master, in milliseconds. */
const BACK_WITHIN_MS = 2_000

describeRedis('a Redis behind Sentinels', () => {
  const releaser = useReleaser()
  let set: SentinelSet
  let backend: RedisBackend
  const done: unknown[] = []
  let add: (job: string) => Promise<boolean>

  beforeAll(async () => {
    set = await startTestSentinels(releaser)
    backend = { kind: 'redis', url: set.url, prefix: 'test' }
    const redis = openRedis(backend, 'fail-fast', onError)
    releaser.onRelease(() => redis.disconnect())
    await waitUntilReady(redis)
    const queue = releaser.add(openQueue<string>('jobs', backend, redis, { onError }), (opened) =>
      opened.close(),
    )
    const worker = openWorker<string>('jobs', backend, async (job) => void done.push(job.data), {
      runRetryDelay: 100,
    })
    worker.on('error', onError)
    releaser.add(worker, (opened) => opened.close())
    add = (job) =>
      queue.add('job', job).then(
        () => true,
        () => false,
      )
    expect(await add('first')).toBe(true)
    await waitFor('the first job', () => done.includes('first'))
  })

  async function expectBackSoon(fault: () => Promise<void>) {
    await set.untilHealthy()
    const before = await set.master()
    await fault()
    let changedAt = 0
    await waitFor(
      'another master',
      async () => {
        const now = await set.master().catch(() => before)
        changedAt = performance.now()
        return now !== before
      },
      { timeoutMs: 20_000, intervalMs: 20 },
    )
    await waitFor('a job to be added', () => add(`after ${changedAt}`), { intervalMs: 20 })
    await waitFor('a job to be taken', () => done.includes(`after ${changedAt}`), { intervalMs: 20 })
    const tookMs = performance.now() - changedAt
    expect(tookMs).toBeLessThan(BACK_WITHIN_MS)
  }

  it('works on the next master after a failover on demand', () => expectBackSoon(() => set.failover()))

  it('works on the next master while the old one is frozen', async () => {
    const master = await set.master()
    releaser.onRelease(() => master.thaw())
    await expectBackSoon(async () => master.freeze())
  })

  it('connects again although Sentinels announce a failover meanwhile', async () => {
    const { nodes: sentinels, masterName: name = '' } = parseRedisUrl(set.url)
    const connector = new FollowingSentinelConnector({
      ...{ sentinels, name, role: 'master', failoverDetector: true, sentinelMaxConnections: 3 },
      sentinelReconnectStrategy: () => null,
    })
    releaser.onRelease(() => connector.disconnect())
    const first = await connector.connect(onError)
    const listeners = await waitFor('the listeners', () => {
      const found = detectorSchema.safeParse(Reflect.get(connector, 'failoverDetector'))
      return found.success && found.data.sentinels
    })
    first.destroy()
    const again = connector.connect(onError)
    for (const { client } of listeners) client.emit('message', '+switch-master')
    const second = await again
    second.destroy()
  })
})

const detectorSchema = z.object({ sentinels: z.array(z.object({ client: z.instanceof(Redis) })).min(1) })
