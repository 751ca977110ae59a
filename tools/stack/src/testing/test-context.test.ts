import { openDatabase } from '@tidings/db/database'
import { openQueue } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { describe, expect, test } from 'vitest'
import { createReleaser } from '../releaser.ts'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  directUrlOf,
  testRedisUrl,
} from './test-context.ts'

describe('a test database', () => {
  test('is migrated, private, and gone at the end', async () => {
    const releaser = createReleaser()
    const { database, url } = await createTestDatabase(releaser)
    const users = await database.pool.query('SELECT count(*)::int AS n FROM users')
    expect(users.rows).toEqual([{ n: 0 }])
    await releaser.release()
    const again = openDatabase({
      url: directUrlOf(url),
      applicationName: 'test',
      maxConnections: 1,
      onError: () => {},
    })
    await expect(again.pool.query('SELECT 1')).rejects.toMatchObject({ code: '3D000' })
    await again.close()
  })

  test('fails its file when a connection is left open', async () => {
    const releaser = createReleaser()
    const { url } = await createTestDatabase(releaser, 100)
    const leaked = openDatabase({ url, applicationName: 'leaky', maxConnections: 1, onError: () => {} })
    await leaked.pool.query('SELECT 1')
    await expect(releaser.release()).rejects.toThrow(/left open.*leaky/)
    await leaked.close()
  })
})

describeBackends('a test queue', (kind) => {
  test('keeps its jobs apart from other queues of the same name', async () => {
    const releaser = createReleaser()
    const onError = (error: Error) => {
      throw error
    }
    const counts = []
    for (const jobs of [1, 0]) {
      const backend = await createTestBackend(kind, releaser)
      const redis = kind === 'redis' ? openRedis({ url: testRedisUrl() }, 'patient', onError) : undefined
      if (redis) releaser.add(redis, (r) => r.disconnect())
      const queue = releaser.add(openQueue<{ n: number }>('jobs', backend, redis, { onError }), (q) =>
        q.close(),
      )
      for (let n = 0; n < jobs; n++) await queue.add('job', { n })
      counts.push(await queue.count())
    }
    expect(counts).toEqual([1, 0])
    await releaser.release()
  })
})

test('a releaser releases in reverse order, and reports a failure after all releases have run', async () => {
  const order: number[] = []
  const releaser = createReleaser()
  releaser.onRelease(() => void order.push(1))
  releaser.onRelease(() => {
    throw new Error('stuck')
  })
  releaser.onRelease(() => void order.push(3))
  await expect(releaser.release()).rejects.toThrow('stuck')
  expect(order).toEqual([3, 1])
})
