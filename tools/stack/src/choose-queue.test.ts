import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StartupError } from '@tidings/shared/env'
import { describe, expect, test } from 'vitest'
import { type ChooseQueueOptions, chooseQueue, findQueueBefore } from './choose-queue.ts'
import { useReleaser } from './test-context.ts'

const REDIS_URL = 'redis://localhost:6379'

const choose = (options: Partial<ChooseQueueOptions>) =>
  chooseQueue({ env: {}, dataDir: '/data', hasRedisServer: false, before: undefined, ...options })

describe('where npm start has its queue', () => {
  test('in a fresh folder: in the best that there is', () => {
    expect(choose({})).toEqual({ place: 'postgres', because: 'found' })
    expect(choose({ hasRedisServer: true })).toEqual({ place: 'redis-private', because: 'found' })
    expect(choose({ env: { REDIS_URL } })).toEqual({ place: 'redis-given', because: 'asked' })
  })

  test('where QUEUE_BACKEND says', () => {
    const postgres = { place: 'postgres', because: 'asked' }
    expect(choose({ env: { QUEUE_BACKEND: 'postgres' }, hasRedisServer: true })).toEqual(postgres)
    expect(choose({ env: { QUEUE_BACKEND: 'postgres', REDIS_URL } })).toEqual(postgres)
    const redis = choose({ env: { QUEUE_BACKEND: 'redis' }, hasRedisServer: true })
    expect(redis).toEqual({ place: 'redis-private', because: 'asked' })
    expect(() => choose({ env: { QUEUE_BACKEND: 'redis' } })).toThrow(
      new StartupError(
        'QUEUE_BACKEND is redis, and there is no Redis: install redis-server or valkey-server, or set REDIS_URL.',
      ),
    )
  })

  test('where it was, as long as that can be had', () => {
    expect(choose({ before: 'postgres', hasRedisServer: true })).toEqual({
      place: 'postgres',
      because: 'as-before',
    })
    expect(choose({ before: 'redis-private', hasRedisServer: true }).place).toBe('redis-private')
  })

  test('nowhere else by itself: the refusal names both ways out', () => {
    expect(() => choose({ before: 'redis-private' })).toThrow(
      new StartupError(
        'The queue of /data is in a Redis of its own, and there is no redis-server or valkey-server now. Install one, or leave what is in that queue there and begin another: QUEUE_BACKEND=postgres npm start',
      ),
    )
    expect(() => choose({ before: 'redis-given', hasRedisServer: true })).toThrow(
      new StartupError(
        'The queue of /data is in the Redis of REDIS_URL, which is not set now. Set it again, or leave what is in that queue there and begin another: QUEUE_BACKEND=redis npm start',
      ),
    )
  })

  test('somewhere else when told to, and then it is known what was left behind', () => {
    expect(choose({ env: { QUEUE_BACKEND: 'postgres' }, before: 'redis-private' })).toEqual({
      place: 'postgres',
      because: 'asked',
      leftBehind: 'redis-private',
    })
    const moved = choose({ env: { QUEUE_BACKEND: 'redis' }, before: 'postgres', hasRedisServer: true })
    expect(moved).toEqual({ place: 'redis-private', because: 'asked', leftBehind: 'postgres' })
    expect(choose({ env: { REDIS_URL }, before: 'redis-private' }).leftBehind).toBe('redis-private')
  })
})

describe('where the queue was', () => {
  const releaser = useReleaser()
  const makeDataDir = async () =>
    releaser.add(await mkdtemp(join(tmpdir(), 'tidings-queue-')), (path) => rm(path, { recursive: true }))

  test('is known from what the start before wrote', async () => {
    const dataDir = await makeDataDir()
    expect(await findQueueBefore(dataDir, {})).toBeUndefined()
    expect(await findQueueBefore(dataDir, { QUEUE_BACKEND: 'postgres' })).toBe('postgres')
    expect(await findQueueBefore(dataDir, { QUEUE_BACKEND: 'redis', REDIS_URL })).toBe('redis-given')

    await mkdir(join(dataDir, 'redis'))
    await writeFile(join(dataDir, 'redis/port'), '23456')
    const ownUrl = 'redis://127.0.0.1:23456'
    expect(await findQueueBefore(dataDir, { QUEUE_BACKEND: 'redis', REDIS_URL: ownUrl })).toBe(
      'redis-private',
    )
    expect(await findQueueBefore(dataDir, {}), 'dev.env is gone').toBe('redis-private')
    expect(await findQueueBefore(dataDir, { QUEUE_BACKEND: 'redis', REDIS_URL })).toBe('redis-given')
    expect(await findQueueBefore(dataDir, { QUEUE_BACKEND: 'postgres' })).toBe('postgres')
  })
})
