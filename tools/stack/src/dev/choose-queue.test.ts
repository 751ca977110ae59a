import { StartupError } from '@tidings/runtime/env'
import { describe, expect, test } from 'vitest'
import { chooseQueue } from './choose-queue.ts'

const REDIS_URL = 'redis://localhost:6379'

describe('the queue of npm start', () => {
  test('is in Redis when this machine can run one, in PostgreSQL otherwise', () => {
    expect(chooseQueue({}, true)).toEqual({ place: 'redis-private', reason: 'detected' })
    expect(chooseQueue({}, false)).toEqual({ place: 'postgres', reason: 'detected' })
  })

  test('is where the environment says', () => {
    const postgres = { place: 'postgres', reason: 'configured' }
    const external = { place: 'redis-external', reason: 'configured' }
    expect(chooseQueue({ QUEUE_BACKEND: 'postgres' }, true)).toEqual(postgres)
    expect(chooseQueue({ QUEUE_BACKEND: 'postgres', REDIS_URL }, true)).toEqual(postgres)
    expect(chooseQueue({ REDIS_URL }, true)).toEqual(external)
    expect(chooseQueue({ QUEUE_BACKEND: 'redis', REDIS_URL }, false)).toEqual(external)
    expect(chooseQueue({ QUEUE_BACKEND: 'redis' }, true)).toEqual({
      place: 'redis-private',
      reason: 'configured',
    })
  })

  test('cannot be in Redis without one: the error says what to install or set', () => {
    expect(() => chooseQueue({ QUEUE_BACKEND: 'redis' }, false)).toThrow(
      new StartupError(
        'QUEUE_BACKEND is redis, and there is no Redis: install redis-server or valkey-server, or set REDIS_URL.',
      ),
    )
  })
})
