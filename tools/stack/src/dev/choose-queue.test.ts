import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StartupError } from '@tidings/runtime/env'
import { describe, expect, test } from 'vitest'
import { useReleaser } from '../testing/test-context.ts'
import { type ChooseQueueOptions, chooseQueue, findQueueBefore } from './choose-queue.ts'

const REDIS_URL = 'redis://localhost:6379'

const choose = (options: Partial<ChooseQueueOptions>) =>
  chooseQueue({ env: {}, hasRedisServer: false, before: undefined, ...options })

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

  test('elsewhere when what was there has gone or come, and then it is known what was left behind', () => {
    expect(choose({ before: 'redis-private' })).toEqual({
      place: 'postgres',
      because: 'found',
      abandoned: 'redis-private',
    })
    expect(choose({ before: 'postgres', hasRedisServer: true }).abandoned).toBe('postgres')
    expect(choose({ before: 'redis-given', hasRedisServer: true }).abandoned).toBe('redis-given')
    expect(choose({ before: 'redis-private', hasRedisServer: true }).abandoned).toBeUndefined()
  })

  test('elsewhere when told to', () => {
    expect(choose({ env: { QUEUE_BACKEND: 'postgres' }, before: 'redis-private' })).toEqual({
      place: 'postgres',
      because: 'asked',
      abandoned: 'redis-private',
    })
    const moved = choose({ env: { QUEUE_BACKEND: 'redis' }, before: 'postgres', hasRedisServer: true })
    expect(moved).toEqual({ place: 'redis-private', because: 'asked', abandoned: 'postgres' })
    expect(choose({ env: { REDIS_URL }, before: 'redis-private' }).abandoned).toBe('redis-private')
    expect(choose({ env: { REDIS_URL }, before: 'redis-other' }).abandoned).toBe('redis-other')
  })

  test('elsewhere in the same Redis under another prefix, which PostgreSQL does not know', () => {
    const env = { REDIS_URL, QUEUE_PREFIX: 'new' }
    expect(choose({ env, before: 'redis-given', prefixBefore: 'new' }).abandoned).toBeUndefined()
    expect(choose({ env, before: 'redis-given', prefixBefore: 'old' }).abandoned).toBe('prefix')
    expect(choose({ env, before: 'redis-private', prefixBefore: 'old' }).abandoned).toBe('redis-private')
    const postgres = { QUEUE_BACKEND: 'postgres', QUEUE_PREFIX: 'new' } as const
    expect(choose({ env: postgres, before: 'postgres', prefixBefore: 'old' }).abandoned).toBeUndefined()
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

    const devEnv = { QUEUE_BACKEND: 'redis', REDIS_URL: 'redis://:old@localhost:6379' }
    expect(await findQueueBefore(dataDir, devEnv, REDIS_URL), 'another password').toBe('redis-given')
    expect(await findQueueBefore(dataDir, devEnv, 'redis://elsewhere:6379')).toBe('redis-other')
    expect(await findQueueBefore(dataDir, devEnv, `${REDIS_URL}/1`)).toBe('redis-other')

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
