import type { PrefixedRedis } from '@tidings/accounts/cache/changes'
import { limitKeyPrefix } from '@tidings/accounts/limits/limit-keys'
import { AppError } from '@tidings/shared/errors'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

export type Limiter = RateLimiterRedis | RateLimiterMemory

interface LimiterOptions {
  name: string
  points: number
  durationSeconds: number
}

export function createLimiter(
  redis: PrefixedRedis | undefined,
  { name, points, durationSeconds }: LimiterOptions,
): Limiter {
  const settings = {
    keyPrefix: limitKeyPrefix(redis?.prefix ?? 'tidings', name),
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
