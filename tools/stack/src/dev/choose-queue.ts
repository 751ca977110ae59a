import { join } from 'node:path'
import { StartupError } from '@tidings/runtime/env'
import { privateRedisUrl } from '../servers/redis.ts'
import type { StartEnv } from './env.ts'
import { isSameStore } from './external-stores.ts'

/** In the Redis of REDIS_URL, in one of our own below the data directory, or in PostgreSQL. */
export type QueuePlace = 'redis-given' | 'redis-private' | 'postgres'

/** Where a queue can be that is not seen from here: in the Redis of another REDIS_URL, under another prefix. */
export type LeftBehind = QueuePlace | 'redis-other' | 'prefix'

export interface QueueChoice {
  place: QueuePlace
  /** The environment names it, or it is the best that there is. */
  because: 'asked' | 'found'
  /** Where the queue was at the start before, when that is somewhere else: what is in it stays there. */
  abandoned?: LeftBehind
}

export interface ChooseQueueOptions {
  env: Partial<Pick<StartEnv, 'QUEUE_BACKEND' | 'REDIS_URL' | 'QUEUE_PREFIX'>>
  /** Whether this machine has a program to run a Redis with. */
  hasRedisServer: boolean
  /** Where the queue of this data directory was at the start before. */
  before: QueuePlace | 'redis-other' | undefined
  /** QUEUE_PREFIX at the start before. */
  prefixBefore?: string | undefined
}

/**
 * Where the queue is to be: where the environment says, else in the best that there is. What waits in a queue, and its
 * dead letters, are seen from nowhere else, so whoever starts is told when it moves.
 *
 * @throws StartupError when the one asked for cannot be had.
 */
export function chooseQueue(options: ChooseQueueOptions): QueueChoice {
  const { env, hasRedisServer } = options
  const place = findPlace(env, hasRedisServer)
  const isAsked = env.QUEUE_BACKEND !== undefined || env.REDIS_URL !== undefined
  const abandoned = findLeftBehind(options, place)
  return { place, because: isAsked ? 'asked' : 'found', ...(abandoned && { abandoned }) }
}

function findLeftBehind(
  { env, before, prefixBefore }: ChooseQueueOptions,
  place: QueuePlace,
): LeftBehind | undefined {
  if (before !== place) return before
  const hasOtherPrefix = prefixBefore !== undefined && prefixBefore !== env.QUEUE_PREFIX
  return place !== 'postgres' && hasOtherPrefix ? 'prefix' : undefined
}

function findPlace({ QUEUE_BACKEND, REDIS_URL }: ChooseQueueOptions['env'], hasServer: boolean): QueuePlace {
  if (QUEUE_BACKEND === 'postgres') return 'postgres'
  if (REDIS_URL !== undefined) return 'redis-given'
  if (hasServer) return 'redis-private'
  if (QUEUE_BACKEND === undefined) return 'postgres'
  throw new StartupError(
    'QUEUE_BACKEND is redis, and there is no Redis: install redis-server or valkey-server, or set REDIS_URL.',
  )
}

/**
 * Where the start before had the queue, going by its dev.env and by its Redis.
 *
 * @param givenUrl REDIS_URL now.
 */
export async function findQueueBefore(
  dataDir: string,
  devEnv: Record<string, string | undefined>,
  givenUrl?: string,
): Promise<ChooseQueueOptions['before']> {
  if (devEnv.QUEUE_BACKEND === 'postgres') return 'postgres'
  const ownUrl = await privateRedisUrl(join(dataDir, 'redis'))
  if (devEnv.REDIS_URL !== undefined && devEnv.REDIS_URL !== ownUrl)
    return givenUrl === undefined || isSameStore(devEnv.REDIS_URL, givenUrl) ? 'redis-given' : 'redis-other'
  return ownUrl === undefined ? undefined : 'redis-private'
}
