import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChangeTopic, PrefixedRedis } from '@tidings/accounts/cache/changes'
import {
  digestOf,
  GUESSES,
  guessKey,
  LOGINS_BY_ACCOUNT_IP,
  loginNetwork,
  networkKey,
  sessionGuessKey,
} from '@tidings/accounts/limits/limit-keys'
import { networkOf } from '@tidings/accounts/limits/network'
import type { InvalidationBus } from '../cache/invalidation-bus.ts'
import { consume, createLimiter, isWithin } from './limiter.ts'

/** Limits guessing. Each method throws AppError `rate_limited` above a limit. */
export interface RateLimits {
  /**
   * Runs the check of a login's password, unless there were too many logins from the address or for the account. Counts
   * a wrong password over all addresses. An address where the user has logged in before has a count of its own, so that
   * guesses from elsewhere never lock the user out there.
   *
   * @param check returns a falsy value for a wrong password.
   */
  limitLogin<Result>(login: Login, check: () => Promise<Result>): Promise<Result>
  /**
   * Runs the check of a logged-in user's password. Guesses at the login do not count here.
   *
   * @param check returns a falsy value for a wrong password.
   */
  limitPasswordCheck<Result>(userId: string, address: string, check: () => Promise<Result>): Promise<Result>
  checkRegistration(address: string): Promise<void>
  checkRefresh(address: string): Promise<void>
  checkErasure(address: string): Promise<void>
  checkExport(userId: string): Promise<void>
  checkPasswordReset(address: string): Promise<void>
  /**
   * Runs `request` at most once a minute for an account, known or not. Otherwise it does nothing, in silence: a refusal
   * would tell a stranger that somebody asks for this account.
   */
  limitResetRequest(account: string, request: () => Promise<void>): Promise<void>
  checkEmailChange(userId: string): Promise<void>
  /** Forgets the wrong passwords of an account: its owner has just proved to be one, from this address. */
  forgetGuesses(account: string, address: string): Promise<void>
}

interface Login {
  /** The address that was typed, trimmed and in lower case. */
  account: string
  /** The client's. */
  address: string
  /** Tells whether the user of the account has logged in from this network before. */
  isFamiliar(network: string): Promise<boolean>
}

interface RateLimitOptions {
  enabled: boolean
  /** Undefined: each replica counts by itself. */
  redis: PrefixedRedis | undefined
  /** Tells of accounts that an operator unlocked. */
  bus?: Pick<InvalidationBus, 'subscribe' | 'publish'> | undefined
  loginsPerMinutePerIp: number
  loginsPerMinutePerAccountIp: number
  wrongPasswordsPerHourPerAccount: number
  registrationsPerHourPerIp: number
  refreshesPerMinutePerIp: number
  erasuresPerHourPerIp: number
  exportsPerHourPerUser: number
  passwordResetsPerHourPerIp: number
  emailChangesPerHourPerUser: number
}

/** Topic of the messages that an operator reset the counters of an account. */
const UNLOCKED: ChangeTopic = 'limit'

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3600

/** A /56 may belong to one customer or to 256: its limit is this many times the limit of a /64. */
const WIDE_FACTOR = 8
/** Wrong passwords for one account before logins to it are delayed. */
const FREE_GUESSES = 10
const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 2_000
/** Requests delayed at once. Above that none is delayed: the hash pool limits the work. */
const MAX_DELAYED = 1_000

export function createRateLimits(options: RateLimitOptions): RateLimits {
  if (!options.enabled) return NO_RATE_LIMITS
  const limiter = (name: string, points: number, durationSeconds: number) =>
    createLimiter(options.redis, { name, points, durationSeconds })

  /** Asks the narrow network first: a network that is refused must not use up the limit of its neighbours. */
  function limitByAddress(name: string, points: number, durationSeconds: number) {
    const narrow = limiter(name, points, durationSeconds)
    const wide = limiter(`${name}-wide`, points * WIDE_FACTOR, durationSeconds)
    return async (address: string): Promise<void> => {
      await consume(narrow, digestOf(networkOf(address, 64)))
      if (isIPv6(address)) await consume(wide, digestOf(networkOf(address, 56)))
    }
  }

  const checkLoginAddress = limitByAddress('login-ip', options.loginsPerMinutePerIp, MINUTE_SECONDS)
  const byAccountIp = limiter(LOGINS_BY_ACCOUNT_IP, options.loginsPerMinutePerAccountIp, MINUTE_SECONDS)
  const guesses = limiter(GUESSES, options.wrongPasswordsPerHourPerAccount, HOUR_SECONDS)
  const exports = limiter('export', options.exportsPerHourPerUser, HOUR_SECONDS)

  /** Also in Redis: only so does the limiter stop refusing the caller from memory. */
  async function forget(keys: readonly string[]): Promise<void> {
    const counters = [guesses, byAccountIp]
    await Promise.allSettled(keys.flatMap((key) => counters.map((counter) => counter.delete(key))))
  }
  options.bus?.subscribe({
    onChange: (topic, keys) => {
      if (topic === UNLOCKED) void forget(keys)
    },
    // A missed message leaves the counters until their window ends.
    onGap: nothing,
  })
  const resetRequests = limiter('reset-account', 1, MINUTE_SECONDS)
  const emailChanges = limiter('email-change', options.emailChangesPerHourPerUser, HOUR_SECONDS)
  let delayed = 0

  async function delayGuess(earlierGuesses: number) {
    if (earlierGuesses <= FREE_GUESSES || delayed >= MAX_DELAYED) return
    delayed++
    try {
      await sleep(delayMsAfter(earlierGuesses))
    } finally {
      delayed--
    }
  }

  /** Counts before the check, so that concurrent guesses count. Takes the guess back unless the password is wrong. */
  async function countGuess<Result>(key: string, check: () => Promise<Result>): Promise<Result> {
    const { consumedPoints } = await consume(guesses, key)
    await delayGuess(consumedPoints - 1)
    let isWrong = false
    try {
      const result = await check()
      isWrong = !result
      return result
    } finally {
      if (!isWrong) await guesses.reward(key, 1)
    }
  }

  return {
    async limitLogin({ account, address, isFamiliar }, check) {
      // The address before the account: a refused address must not make a key for every account that it names.
      await checkLoginAddress(address)
      const network = loginNetwork(address)
      await consume(byAccountIp, networkKey(account, network))
      const key = (await isFamiliar(network)) ? networkKey(account, network) : guessKey(account)
      return countGuess(key, check)
    },
    async limitPasswordCheck(userId, address, check) {
      await checkLoginAddress(address)
      await consume(byAccountIp, networkKey(userId, loginNetwork(address)))
      return countGuess(sessionGuessKey(userId), check)
    },
    checkRegistration: limitByAddress('register-ip', options.registrationsPerHourPerIp, HOUR_SECONDS),
    checkRefresh: limitByAddress('refresh-ip', options.refreshesPerMinutePerIp, MINUTE_SECONDS),
    checkErasure: limitByAddress('erase-ip', options.erasuresPerHourPerIp, HOUR_SECONDS),
    checkExport: async (userId) => void (await consume(exports, digestOf(userId))),
    checkPasswordReset: limitByAddress('reset-ip', options.passwordResetsPerHourPerIp, HOUR_SECONDS),
    async limitResetRequest(account, request) {
      const key = digestOf(account)
      if (!(await isWithin(resetRequests, key))) return
      try {
        await request()
      } catch (error) {
        // Nothing was sent, so the next request may try again.
        await resetRequests.reward(key, 1)
        throw error
      }
    },
    checkEmailChange: async (userId) => void (await consume(emailChanges, digestOf(userId))),
    async forgetGuesses(account, address) {
      const keys = [guessKey(account), networkKey(account, loginNetwork(address))]
      await forget(keys)
      // The other replicas. Without the message their counters end with the hour.
      await options.bus?.publish(UNLOCKED, keys).catch(nothing)
    },
  }
}

/** Doubles with each guess beyond the free ones, up to a maximum. */
export function delayMsAfter(earlierGuesses: number): number {
  const doublings = Math.min(earlierGuesses - FREE_GUESSES - 1, 10)
  return Math.min(FIRST_DELAY_MS * 2 ** doublings, MAX_DELAY_MS)
}

const nothing = async () => {}
/** Never limits: for RATE_LIMIT_ENABLED=false. */
export const NO_RATE_LIMITS: RateLimits = {
  limitLogin: (_login, check) => check(),
  limitPasswordCheck: (_userId, _address, check) => check(),
  checkRegistration: nothing,
  checkRefresh: nothing,
  checkErasure: nothing,
  checkExport: nothing,
  checkPasswordReset: nothing,
  limitResetRequest: (_account, request) => request(),
  checkEmailChange: nothing,
  forgetGuesses: nothing,
}
