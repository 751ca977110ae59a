import { StartupError } from '@tidings/runtime/env'
import type { StartEnv } from './env.ts'

/** `redis-external` is the Redis of REDIS_URL; `redis-private` runs on the data folder. */
export type QueuePlace = 'redis-external' | 'redis-private' | 'postgres'

export interface QueueChoice {
  place: QueuePlace
  /** `configured` by the environment, or the best that was `detected`. */
  reason: 'configured' | 'detected'
}

/**
 * Chooses the queue's store: the one that the environment names, otherwise Redis if it can be run, otherwise PostgreSQL.
 *
 * @param hasRedisServer whether this machine has a program to run a Redis with.
 * @throws StartupError when the environment asks for a Redis and there is none.
 */
export function chooseQueue(
  { QUEUE_BACKEND, REDIS_URL }: Pick<Partial<StartEnv>, 'QUEUE_BACKEND' | 'REDIS_URL'>,
  hasRedisServer: boolean,
): QueueChoice {
  if (QUEUE_BACKEND === 'postgres') return { place: 'postgres', reason: 'configured' }
  if (REDIS_URL !== undefined) return { place: 'redis-external', reason: 'configured' }
  const reason = QUEUE_BACKEND === undefined ? 'detected' : 'configured'
  if (hasRedisServer) return { place: 'redis-private', reason }
  if (QUEUE_BACKEND === undefined) return { place: 'postgres', reason }
  throw new StartupError(
    'QUEUE_BACKEND is redis, and there is no Redis: install redis-server or valkey-server, or set REDIS_URL.',
  )
}
