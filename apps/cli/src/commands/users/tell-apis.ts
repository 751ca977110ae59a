import { announceChange } from '@tidings/accounts/cache/announce'
import { listStoredSessions } from '@tidings/db/users/search-users'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, storeError } from '../../exit-codes.ts'

/**
 * Makes the running APIs forget a user and the user's sessions. Also those that an earlier command ended: it may have
 * been interrupted before it got here.
 *
 * @param ended sessions of an erased user, who is no longer stored.
 * @throws CliError `partial` when the APIs could not be told.
 */
export async function tellApis(
  context: CliContext,
  userId: string,
  ended?: readonly string[],
): Promise<void> {
  try {
    const db = await context.database()
    const bus = { db, redis: await context.redis() }
    const stored = await listStoredSessions(db, userId)
    await announceChange(bus, 'session', [...(ended ?? []), ...stored.map(({ id }) => id)])
    await announceChange(bus, 'user', [userId])
  } catch (error) {
    throw new CliError(
      EXIT.partial,
      `The change is stored, but the running APIs could not be told (${storeError(error)}). ` +
        'They may use what they remember for up to 3 minutes.' +
        (ended === undefined ? ' Run the command again to tell them.' : ''),
    )
  }
}
