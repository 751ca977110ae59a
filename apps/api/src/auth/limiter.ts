import { createHash } from 'node:crypto'
import { AppError } from '@tidings/shared/errors'
import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

export interface LimiterRedis {
  connection: Redis
  prefix: string
}

export type Limiter = RateLimiterRedis | RateLimiterMemory

interface LimiterOptions {
  name: string
  points: number
  durationSeconds: number
}

export function createLimiter(
  redis: LimiterRedis | undefined,
  { name, points, durationSeconds }: LimiterOptions,
): Limiter {
  const settings = {
    keyPrefix: `${redis?.prefix ?? 'tidings'}:limit:${name}`,
    points,
    duration: durationSeconds,
  }
  const inMemory = new RateLimiterMemory(settings)
  if (redis === undefined) return inMemory
  return new RateLimiterRedis({
    ...settings,
    storeClient: redis.connection,
    // Without Redis each replica counts by itself, at once and not after a timeout.
    insuranceLimiter: inMemory,
    rejectIfRedisNotReady: true,
    // A caller above the limit is refused from memory until the window ends, without a Redis command.
    inMemoryBlockOnConsumed: points + 1,
  })
}

/** Keeps addresses and accounts out of the keys in Redis. */
export const digestOf = (...parts: string[]) =>
  createHash('sha256').update(parts.join('\n')).digest('base64url').slice(0, 22)

/** Counts like consume. @returns false above the limit. */
export async function isWithin(limiter: Limiter, key: string): Promise<boolean> {
  try {
    await limiter.consume(key)
    return true
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal
    return false
  }
}

/** @throws AppError `rate_limited` above the limit. */
export async function consume(limiter: Limiter, key: string): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key)
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal
    throw new AppError('rate_limited', 'Too many attempts. Try again later.', {
      retryAfterSeconds: Math.max(1, Math.ceil(refusal.msBeforeNext / 1000)),
    })
  }
}
