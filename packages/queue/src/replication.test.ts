import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { askRedis } from '@tidings/stack/servers/ask-redis'
import type { RedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { openQueue, type RedisBackend } from './backend.ts'
import { openRedis } from './open-redis.ts'
import { createPublisher } from './publisher.ts'
import { writeReplicated } from './replication.ts'
import { waitUntilReady } from './wait-until-ready.ts'

const onError = () => {}

describeRedis('a publisher that waits for a replica', () => {
  const releaser = useReleaser()
  let master: RedisServer
  let replica: RedisServer
  let backend: RedisBackend

  beforeAll(async () => {
    master = await startTestRedis(releaser, { 'repl-diskless-sync-delay': 0 })
    replica = await startTestRedis(releaser, { replicaof: `127.0.0.1 ${master.port}` })
    backend = { kind: 'redis', url: master.url, prefix: 'test' }
    await untilReplicated()
  })
  const untilReplicated = () =>
    waitFor('the replica', async () =>
      String(await askRedis(master.port, 'INFO', 'replication')).includes('state=online'),
    )
  const countOn = async (server: RedisServer) =>
    Number(await askRedis(server.port, 'LLEN', 'test:status-events:wait'))

  it('resolves when the replica has the event, and rejects while it does not answer', async () => {
    const publisher = createPublisher({
      backend,
      shards: 1,
      ackReplicas: 1,
      log: createLogger('test', 'silent'),
    })
    releaser.onRelease(() => publisher.close())
    await waitFor('the publisher', () => publisher.isConnected)
    // More at once than there are connections. On a busy machine a replica may confirm too late.
    let acknowledged = 0
    for (let round = 0; round < 10; round++) {
      const publish = () => publisher.publish([makeEvent()])
      const results = await Promise.allSettled(Array.from({ length: 10 }, publish))
      acknowledged += results.filter(({ status }) => status === 'fulfilled').length
      expect(await countOn(replica)).toBeGreaterThanOrEqual(acknowledged)
    }
    expect(acknowledged).toBeGreaterThan(0)
    const before = await countOn(master)
    replica.freeze()
    releaser.onRelease(() => replica.thaw())
    await expect(publisher.publish([makeEvent()])).rejects.toThrow(/0 of 1 replicas confirmed|timed out/)
    await waitFor('the event on the master', async () => (await countOn(master)) > before)
    replica.thaw()
    await waitFor('the replica to confirm', () =>
      publisher.publish([makeEvent()]).then(
        () => true,
        () => false,
      ),
    )
  })

  it('does not trust a connection that was opened again after the write', async () => {
    await untilReplicated()
    const redis = releaser.add(openRedis(backend, 'patient', onError), (opened) => opened.disconnect())
    await waitUntilReady(redis)
    const queue = openQueue<unknown>('any', backend, redis, { onError })
    releaser.onRelease(() => queue.close())
    const write = async () => {
      await queue.add('job', {})
      await askRedis(master.port, 'CLIENT', 'KILL', 'TYPE', 'normal')
      await waitFor('the connection', () => redis.status !== 'ready')
      await waitUntilReady(redis)
    }
    await expect(writeReplicated(queue, redis, 1, write)).rejects.toThrow('0 of 1 replicas')
  })
})
