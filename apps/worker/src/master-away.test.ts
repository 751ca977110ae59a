import { addToOutbox } from '@tidings/db/events/event-outbox'
import { type JobQueue, openQueue, openWorker, type RedisBackend } from '@tidings/queue/backend'
import { deadLetterId, placeOf } from '@tidings/queue/dead-letters/entry-id'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { nodeOf, openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { shardNames } from '@tidings/queue/queue-names'
import { waitUntilReady } from '@tidings/queue/wait-until-ready'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import type { StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import type { RedisCluster } from '@tidings/stack/servers/redis-cluster'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestDatabase,
  describeRedis,
  startTestCluster,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { UnrecoverableError } from 'bullmq'
import { beforeAll, expect, it } from 'vitest'
import type { StatusWorker } from './status-worker.ts'
import { startTestWorker } from './testing/test-worker.ts'

const SHARDS = 6
const onError = () => {}
/** Nothing here may wait until BullMQ gives up on the master, after 30 s. */
const SOON = { timeoutMs: 20_000, intervalMs: 20 }

describeRedis('a worker that starts while a master of the cluster is away', () => {
  const releaser = useReleaser()
  const log = createLogger('test', 'silent')
  let cluster: RedisCluster
  let backend: RedisBackend
  let database: TestDatabase
  let worker: StatusWorker
  let redis: RedisConnection
  let queues: JobQueue<unknown>[]
  /** The event of a job that failed for good before the worker starts. */
  let failed: StatusEvent
  /** The numbers of the shards whose master answers. */
  let healthy: number[]
  const lifecycle = createLifecycle(log)

  beforeAll(async () => {
    cluster = await startTestCluster(releaser, {
      nodeTimeoutMs: 1_000,
      settings: { 'cluster-require-full-coverage': 'no' },
    })
    database = await createTestDatabase(releaser)
    backend = { kind: 'redis', url: cluster.url, prefix: 'test' }
    redis = openRedis(backend, 'operator', onError)
    releaser.onRelease(() => redis.disconnect())
    await waitUntilReady(redis)
    queues = shardNames(SHARDS).map((name) =>
      releaser.add(openQueue<unknown>(name, backend, redis, { onError }), (queue) => queue.close()),
    )
    const [, away] = cluster.nodes
    const isAway = (queue: JobQueue<unknown>) => nodeOf(redis, queue.toKey('')).options.port === away?.port
    healthy = queues.flatMap((queue, shard) => (isAway(queue) ? [] : [shard]))
    expect(healthy).toHaveLength(4)
    failed = makePoison(healthy[2] ?? 0)
    await addFailedJob(healthy[3] ?? 0, failed)
    await away?.kill9()
    releaser.onRelease(() => lifecycle.release())
    worker = await startTestWorker({
      db: database.database,
      backend,
      shards: SHARDS,
      lifecycle,
      timing: { sweepIntervalMs: 100, probeIntervalMs: 50, outageDelayMs: 50, checkIntervalMs: 100 },
    })
  })

  const addTo = (shard: number, event: unknown) =>
    queues[shard]?.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)

  async function addFailedJob(shard: number, event: unknown) {
    const queue = queues[shard]
    await addTo(shard, event)
    const name = queue?.name ?? ''
    const failing = openWorker(
      name,
      backend,
      () => Promise.reject(new UnrecoverableError('as the test says')),
      {},
    )
    failing.on('error', onError)
    await waitFor('the job to fail', async () => (await queue?.getFailedCount()) === 1)
    await failing.close()
  }

  async function untilStored(ids: string[]) {
    const sql = 'SELECT 1 FROM notification_status WHERE id = ANY($1::uuid[])'
    const count = async () => (await database.database.pool.query(sql, [ids])).rows.length
    await waitFor('the events to be stored', async () => (await count()) === ids.length, SOON)
  }

  /** An event of no user, whose dead letter belongs to a shard. */
  function makePoison(shard: number) {
    for (;;) {
      const event = makeEvent({ user_id: crypto.randomUUID() })
      if (placeOf(deadLetterId({ eventId: event.id, event }), SHARDS) === shard) return event
    }
  }

  it('is ready, and stores the events of the other masters', async () => {
    await waitFor('the worker to be ready', () => worker.isTakingJobs && worker.isQueueWritable, SOON)
    const events = healthy.map(() => makeEvent())
    await Promise.all(events.map((event, index) => addTo(healthy[index] ?? 0, event)))
    await untilStored(events.map(({ id }) => id))
  })

  it('buries what belongs to the other masters, and the rest blocks no job', async () => {
    const [first = 0] = healthy
    const away = [0, 1, 2, 3, 4, 5].find((shard) => !healthy.includes(shard)) ?? 0
    for (let count = 0; count < 20; count++) await addTo(first, makePoison(away))
    const buried = makePoison(first)
    const stored = makeEvent()
    await addTo(first, buried)
    await addTo(first, stored)
    await untilStored([stored.id])
    const store = await openDeadLetters({ backend, shards: SHARDS, onError, skipAway: true })
    releaser.onRelease(() => store.close())
    const id = deadLetterId({ eventId: buried.id, event: buried })
    await waitFor('the dead letter', async () => (await store.get([id])).length === 1, SOON)
    const { failed } = (await queues[first]?.getJobCounts('failed')) ?? {}
    expect(failed).toBe(0)
  })

  it('sweeps the other shards, and relays events from the outbox to them', async () => {
    const store = await openDeadLetters({ backend, shards: SHARDS, onError, skipAway: true })
    releaser.onRelease(() => store.close())
    const id = deadLetterId({ eventId: failed.id, event: failed })
    await waitFor('the dead letter', async () => (await store.get([id])).length === 1, SOON)
    const events = Array.from({ length: 5 }, () => makeEvent())
    for (const event of events) await addToOutbox(database.database, [event], 'as the test says')
    await untilStored(events.map(({ id }) => id))
  })
})
