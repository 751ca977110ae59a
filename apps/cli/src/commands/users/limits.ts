import {
  GUESSES,
  LOGINS_BY_ACCOUNT_IP,
  limitKeyPrefix,
  limitKeysOf,
} from '@tidings/accounts/limits/limit-keys'
import { listStoredSessions } from '@tidings/db/users/search-users'
import type { UserRow } from '@tidings/db/users/users'
import type { CliContext } from '../../context.ts'

/** Wrong passwords within the hour. They are counted apart for unknown networks, each known one, and sessions. */
export interface WrongPasswords {
  total: number
  /** The largest of the counts: above a limit, logins from there are refused. */
  most: number
}

/** Counts the wrong passwords of a user. Undefined where each API counts for itself. */
export async function countWrongPasswords(
  context: CliContext,
  user: UserRow,
): Promise<WrongPasswords | undefined> {
  const redis = await context.redis()
  if (redis === undefined) return undefined
  const keys = await lockKeys(context, user)
  const prefix = limitKeyPrefix(redis.prefix, GUESSES)
  const texts = await Promise.all(keys.map((key) => redis.connection.get(`${prefix}:${key}`)))
  const counts = texts.map((text) => Math.max(0, Number(text ?? 0)))
  return { total: counts.reduce((sum, count) => sum + count, 0), most: Math.max(...counts) }
}

/** The keys of all counters that keep a user from logging in. */
export async function lockKeys(context: CliContext, user: UserRow): Promise<string[]> {
  const sessions = await listStoredSessions(await context.database(), user.id)
  return limitKeysOf(
    user,
    sessions.map(({ ip }) => ip).filter((ip) => ip !== null),
  )
}

/** Removes the counters in Redis. @returns how many there were; undefined without Redis. */
export async function removeCounters(
  context: CliContext,
  keys: readonly string[],
): Promise<number | undefined> {
  const redis = await context.redis()
  if (redis === undefined) return undefined
  const names = [GUESSES, LOGINS_BY_ACCOUNT_IP].flatMap((limiter) =>
    keys.map((key) => `${limitKeyPrefix(redis.prefix, limiter)}:${key}`),
  )
  const removed = await Promise.all(names.map((name) => redis.connection.del(name)))
  return removed.reduce((sum, keys) => sum + keys, 0)
}
