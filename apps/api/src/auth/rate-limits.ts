import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '@tidings/shared/errors'
import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { limitKeyOf } from './client-address.ts'

/** Limits guessing. The check methods throw AppError `rate_limited` above the limit. */
export interface RateLimits {
  /**
   * Call before a password is hashed. Counts by address, and by account and address. After failed logins from
   * any address it also delays: an attacker gets slower, and the owner elsewhere still gets in.
   *
   * @param account the address that was typed, trimmed and in lower case.
   */
  checkLogin(account: string, address: string): Promise<void>
  /** Call after a wrong password. */
  recordFailedLogin(account: string): Promise<void>
  /** Call after a right password. */
  resetFailedLogins(account: string): Promise<void>
  checkRegistration(address: string): Promise<void>
  checkRefresh(address: string): Promise<void>
}

interface RateLimitOptions {
  enabled: boolean
  /** Undefined: each replica counts by itself. */
  redis: LimiterRedis | undefined
  loginsPerMinutePerIp: number
  loginsPerMinutePerAccountIp: number
  registrationsPerHourPerIp: number
  refreshesPerMinutePerIp: number
}

interface LimiterRedis {
  connection: Redis
  prefix: string
}

type Limiter = RateLimiterRedis | RateLimiterMemory

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3600

/** Failed logins to one account, from any address, before logins to it are delayed. */
const FREE_FAILED_LOGINS = 10
const FAILED_LOGINS_WINDOW_SECONDS = 15 * MINUTE_SECONDS
const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 2_000
/** Requests delayed at once. Above that none is delayed: the hash pool limits the work. */
const MAX_DELAYED = 1_000

export function createRateLimits(options: RateLimitOptions): RateLimits {
  if (!options.enabled) return NO_RATE_LIMITS
  const limiter = (name: string, points: number, durationSeconds: number) =>
    createLimiter(options.redis, { name, points, durationSeconds })
  const byIp = limiter('login-ip', options.loginsPerMinutePerIp, MINUTE_SECONDS)
  const byAccountIp = limiter('login-account-ip', options.loginsPerMinutePerAccountIp, MINUTE_SECONDS)
  const failedLogins = limiter('wrong', Number.MAX_SAFE_INTEGER, FAILED_LOGINS_WINDOW_SECONDS)
  const registrations = limiter('register-ip', options.registrationsPerHourPerIp, HOUR_SECONDS)
  const refreshes = limiter('refresh-ip', options.refreshesPerMinutePerIp, MINUTE_SECONDS)
  let delayed = 0

  async function delayGuesses(account: string) {
    const failed = (await failedLogins.get(digestOf(account)))?.consumedPoints ?? 0
    if (failed <= FREE_FAILED_LOGINS || delayed >= MAX_DELAYED) return
    delayed++
    try {
      await sleep(delayMsAfter(failed))
    } finally {
      delayed--
    }
  }

  return {
    async checkLogin(account, address) {
      // The widest first: a blocked address is refused from memory and writes no key for the account it names.
      await consume(byIp, digestOf(limitKeyOf(address)))
      await consume(byAccountIp, digestOf(account, limitKeyOf(address)))
      await delayGuesses(account)
    },
    async recordFailedLogin(account) {
      await failedLogins.penalty(digestOf(account), 1)
    },
    async resetFailedLogins(account) {
      await failedLogins.delete(digestOf(account))
    },
    checkRegistration: (address) => consume(registrations, digestOf(limitKeyOf(address))),
    checkRefresh: (address) => consume(refreshes, digestOf(limitKeyOf(address))),
  }
}

interface LimiterOptions {
  name: string
  points: number
  durationSeconds: number
}

function createLimiter(
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

/** Doubles with each failed login beyond the free ones, up to a maximum. */
export function delayMsAfter(failedLogins: number): number {
  const doublings = Math.min(failedLogins - FREE_FAILED_LOGINS - 1, 10)
  return Math.min(FIRST_DELAY_MS * 2 ** doublings, MAX_DELAY_MS)
}

/** Keeps addresses and accounts out of the keys in Redis. */
const digestOf = (...parts: string[]) =>
  createHash('sha256').update(parts.join('\n')).digest('base64url').slice(0, 22)

async function consume(limiter: Limiter, key: string): Promise<void> {
  try {
    await limiter.consume(key)
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal
    throw new AppError('rate_limited', 'Too many attempts. Try again later.', {
      retryAfterSeconds: Math.max(1, Math.ceil(refusal.msBeforeNext / 1000)),
    })
  }
}

const nothing = async () => {}
/** Never limits: for RATE_LIMIT_ENABLED=false. */
export const NO_RATE_LIMITS: RateLimits = {
  checkLogin: nothing,
  recordFailedLogin: nothing,
  resetFailedLogins: nothing,
  checkRegistration: nothing,
  checkRefresh: nothing,
}
