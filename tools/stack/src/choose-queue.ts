import { join } from 'node:path'
import { StartupError } from '@tidings/shared/env'
import { privateRedisUrl } from './redis.ts'
import type { StartEnv } from './start-env.ts'

/** In the Redis of REDIS_URL, in one of our own below the data directory, or in PostgreSQL. */
export type QueuePlace = 'redis-given' | 'redis-private' | 'postgres'

export interface QueueChoice {
  place: QueuePlace
  /** The environment names it, the start before had it, or it is the best that there is. */
  because: 'asked' | 'as-before' | 'found'
  /** Where the queue was at the start before, when that is somewhere else: what is in it stays there. */
  leftBehind?: QueuePlace
}

export interface ChooseQueueOptions {
  env: Pick<StartEnv, 'QUEUE_BACKEND' | 'REDIS_URL'>
  dataDir: string
  /** Whether this machine has a program to run a Redis with. */
  hasRedisServer: boolean
  /** Where the queue of this data directory was at the start before. */
  before: QueuePlace | undefined
}

/**
 * Where the queue is to be. What waits in a queue, and its dead letters, are seen from nowhere else: so it
 * moves only when the environment says so.
 *
 * @throws StartupError when the one asked for, or the one of before, cannot be had.
 */
export function chooseQueue({ env, dataDir, hasRedisServer, before }: ChooseQueueOptions): QueueChoice {
  const place = findPlace(env, hasRedisServer)
  const isAsked = env.QUEUE_BACKEND !== undefined || env.REDIS_URL !== undefined
  const because = isAsked ? 'asked' : 'found'
  if (before === undefined || before === place) return { place, because }
  if (isAsked) return { place, because, leftBehind: before }
  if (before === 'postgres') return { place: before, because: 'as-before' }
  throw new StartupError(explainLoss(before, place, dataDir))
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

function explainLoss(before: 'redis-given' | 'redis-private', place: QueuePlace, dataDir: string): string {
  const [where, wayBack] =
    before === 'redis-given'
      ? ['in the Redis of REDIS_URL, which is not set now', 'Set it again']
      : ['in a Redis of its own, and there is no redis-server or valkey-server now', 'Install one']
  const backend = place === 'postgres' ? 'postgres' : 'redis'
  return `The queue of ${dataDir} is ${where}. ${wayBack}, or leave what is in that queue there and begin another: QUEUE_BACKEND=${backend} npm start`
}

/** Where the start before had the queue, going by its dev.env and by its Redis. */
export async function findQueueBefore(
  dataDir: string,
  devEnv: Record<string, string | undefined>,
): Promise<QueuePlace | undefined> {
  if (devEnv.QUEUE_BACKEND === 'postgres') return 'postgres'
  const ownUrl = await privateRedisUrl(join(dataDir, 'redis'))
  if (devEnv.REDIS_URL !== undefined && devEnv.REDIS_URL !== ownUrl) return 'redis-given'
  return ownUrl === undefined ? undefined : 'redis-private'
}
