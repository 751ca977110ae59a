import { openQueue, prepareQueueBackend } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { openRedis } from '@tidings/queue/open-redis'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { shardNames } from '@tidings/queue/queue-names'
import { findShards } from '@tidings/queue/shards'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { startTestWorker } from './testing/test-worker.ts'

const ignore = () => {}

describeBackends('jobs in a shard above QUEUE_SHARDS', (kind) => {
  const releaser = useReleaser()

  it('are counted, and taken by a worker that starts', async () => {
    const database = await createTestDatabase(releaser)
    const db = database.database
    const backend = await createTestBackend(kind, releaser, database)
    await prepareQueueBackend(backend)
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', ignore) : undefined
    releaser.onRelease(() => redis?.disconnect())
    expect(await findShards(backend, redis, 1)).toBe(1)

    const third = openQueue<unknown>(shardNames(3)[2] ?? '', backend, redis, { onError: ignore })
    releaser.onRelease(() => third.close())
    const event = makeEvent()
    await third.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)
    expect(await findShards(backend, redis, 1)).toBe(3)
    expect(await findShards(backend, redis, 4)).toBe(4)
    const deadLetters = await openDeadLetters({ backend, shards: 1, onError: ignore })
    releaser.onRelease(() => deadLetters.close())
    expect(await deadLetters.countQueuedEvents()).toBe(1)

    const lifecycle = createLifecycle(createLogger('test', 'silent'))
    releaser.onRelease(() => lifecycle.release())
    await startTestWorker({ db, backend, lifecycle })
    const poll = { intervalMs: 10 }
    await waitFor('the shard to be empty', async () => (await findShards(backend, redis, 1)) === 1, poll)
    const { rows } = await db.pool.query('SELECT id FROM notification_status')
    expect(rows).toEqual([{ id: event.id }])
  })
})
