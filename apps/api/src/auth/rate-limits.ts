import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '@tidings/shared/errors'
import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { limitKeyOf } from './client-address.ts'

/** Holds back who guesses. Every method throws AppError `rate_limited` when there were too many. */
export interface Limits {
  /**
   * Before a password is hashed. Counts by address and by account and address, and waits a little when the
   * account was guessed at from anywhere: an attacker is slowed, the owner elsewhere still gets in.
   */
  checkLogin(account: string, address: string): Promise<void>
  /** After a wrong password. */
  recordFailedLogin(account: string): Promise<void>
  /** After a right one. */
  resetFailedLogins(account: string): Promise<void>
  checkRegistration(address: string): Promise<void>
  checkRefresh(address: string): Promise<void>
}

export interface LimitOptions {
  enabled: boolean
  /** Undefined counts in this process only. */
  redis: { connection: Redis; prefix: string } | undefined
  loginsPerMinutePerIp: number
  loginsPerMinutePerAccountIp: number
  registrationsPerHourPerIp: number
  refreshesPerMinutePerIp: number
}

type Limiter = RateLimiterRedis | RateLimiterMemory

/** Wrong passwords for one account, from anywhere, before answers slow down; how long they count, in seconds. */
const FREE_WRONG_PASSWORDS = 10
const WRONG_PASSWORDS_WINDOW_SECONDS = 15 * 60
const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 2_000
/** Requests held at once; beyond it nobody is held, and the bounded hashing is what protects. */
const MAX_DELAYED = 1_000

/** Addresses and accounts appear in no key: a digest tells them apart as well. */
const digestOf = (...parts: string[]) =>
  createHash('sha256').update(parts.join('\n')).digest('base64url').slice(0, 22)

export function createLimits(options: LimitOptions): Limits {
  if (!options.enabled) return NO_LIMITS
  const { redis } = options

  function createLimiter(name: string, points: number, durationSeconds: number): Limiter {
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
      // Redis away: each replica counts for itself, and at once rather than after a time limit.
      insuranceLimiter: inMemory,
      rejectIfRedisNotReady: true,
      // Who is over the limit costs Redis nothing more until the window ends.
      inMemoryBlockOnConsumed: points + 1,
    })
  }

  const byIp = createLimiter('login-ip', options.loginsPerMinutePerIp, 60)
  const byAccountIp = createLimiter('login-account-ip', options.loginsPerMinutePerAccountIp, 60)
  const wrongByAccount = createLimiter('wrong', Number.MAX_SAFE_INTEGER, WRONG_PASSWORDS_WINDOW_SECONDS)
  const registrations = createLimiter('register-ip', options.registrationsPerHourPerIp, 3600)
  const refreshes = createLimiter('refresh-ip', options.refreshesPerMinutePerIp, 60)
  let delayed = 0

  async function delayGuesses(account: string) {
    const wrong = (await wrongByAccount.get(digestOf(account)))?.consumedPoints ?? 0
    if (wrong <= FREE_WRONG_PASSWORDS || delayed >= MAX_DELAYED) return
    delayed++
    try {
      await sleep(
        Math.min(FIRST_DELAY_MS * 2 ** Math.min(wrong - FREE_WRONG_PASSWORDS - 1, 10), MAX_DELAY_MS),
      )
    } finally {
      delayed--
    }
  }

  return {
    async checkLogin(account, address) {
      await consume(byAccountIp, digestOf(account, limitKeyOf(address)))
      await consume(byIp, digestOf(limitKeyOf(address)))
      await delayGuesses(account)
    },
    async recordFailedLogin(account) {
      await wrongByAccount.penalty(digestOf(account), 1)
    },
    async resetFailedLogins(account) {
      await wrongByAccount.delete(digestOf(account))
    },
    checkRegistration: (address) => consume(registrations, digestOf(limitKeyOf(address))),
    checkRefresh: (address) => consume(refreshes, digestOf(limitKeyOf(address))),
  }
}

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
const NO_LIMITS: Limits = {
  checkLogin: nothing,
  recordFailedLogin: nothing,
  resetFailedLogins: nothing,
  checkRegistration: nothing,
  checkRefresh: nothing,
}
