import { type ErasureDeps, eraseUser } from '@tidings/accounts/erase-user'
import { notFound } from '../http/read-query.ts'
import type { Client } from '../sessions/client.ts'
import type { AccountDeps } from './account-deps.ts'

/** Dependencies of erasing a user. */
type EraseUserDeps = ErasureDeps & Pick<AccountDeps, 'caches' | 'rateLimits'>

/**
 * Makes the function that erases users. An erasure reads all dead letters, so calls for one user share the erasure that
 * is running, and an address may start a limited number of them.
 *
 * @returns a function that erases one user. It throws these AppErrors:
 *   - `not_found`: the user does not exist;
 *   - `unavailable`: a store does not answer;
 *   - `rate_limited`: the address started too many erasures.
 */
export function createUserEraser(deps: EraseUserDeps): (userId: string, client: Client) => Promise<void> {
  const running = new Map<string, Promise<void>>()

  async function start(userId: string, client: Client): Promise<void> {
    try {
      await deps.rateLimits.checkErasure(client.address)
      const erased = await eraseUser(deps, userId)
      if (erased === undefined) throw notFound()
      const { caches } = deps
      await Promise.all([
        caches.sessions.invalidate(erased.endedSessionIds),
        caches.users.invalidate([userId]),
      ])
    } finally {
      running.delete(userId)
    }
  }

  return (userId, client) => {
    const erasure = running.get(userId) ?? start(userId, client)
    running.set(userId, erasure)
    return erasure
  }
}
