import { createHash } from 'node:crypto'
import { networkOf } from './network.ts'

/** The limiters that count passwords for one account. */
export const GUESSES = 'guess'
export const LOGINS_BY_ACCOUNT_IP = 'login-account-ip'

/** Prefix of a limiter's keys in Redis. A colon and the key follow. */
export const limitKeyPrefix = (prefix: string, limiter: string) => `${prefix}:limit:${limiter}`

/** Keeps addresses and accounts out of the keys in Redis. */
export const digestOf = (...parts: string[]) =>
  createHash('sha256').update(parts.join('\n')).digest('base64url').slice(0, 22)

/** How logins name an account: upper and lower case are equal. */
export const accountOf = (email: string) => email.trim().toLowerCase()

/** The network that logins of an account are counted by. */
export const loginNetwork = (address: string) => networkOf(address, 56)

/** Key of the wrong passwords at logins from networks where the user never logged in. */
export const guessKey = (account: string) => digestOf(account)
/** Key of the wrong passwords at logins from a network where the user logged in before; also of the logins from there. */
export const networkKey = (accountOrUserId: string, network: string) => digestOf(accountOrUserId, network)
/** Key of the wrong passwords that a logged-in user sent. */
export const sessionGuessKey = (userId: string) => digestOf(userId, 'session')

/**
 * Every key that counts against a user. Guesses from a network where the user never logged in share one.
 *
 * @param addresses where the user logged in from.
 */
export function limitKeysOf(user: { id: string; email: string }, addresses: readonly string[]): string[] {
  const account = accountOf(user.email)
  const networks = [...new Set(addresses.map(loginNetwork))]
  return [
    guessKey(account),
    sessionGuessKey(user.id),
    ...networks.flatMap((network) => [networkKey(account, network), networkKey(user.id, network)]),
  ]
}
