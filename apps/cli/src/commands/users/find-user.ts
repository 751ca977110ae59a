import { searchUsers } from '@tidings/db/users/search-users'
import { findUser, findUserByEmail, type UserRow } from '@tidings/db/users/users'
import { isUuid } from '@tidings/shared/uuid'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { createMask } from '../../mask-output.ts'

/** Matches that a message names. */
const SHOWN_MATCHES = 5

/**
 * Finds the one user of a command: by the whole id or the whole address. A part of one never selects a user.
 *
 * @throws CliError `not_found`, or `usage` when the text is a part of several.
 */
export async function requireUser(context: CliContext, given: string): Promise<UserRow> {
  const wanted = searchable(given)
  const db = await context.database()
  const user = isUuid(wanted) ? await findUser(db, wanted) : await findUserByEmail(db, wanted)
  if (user !== undefined) return user
  const similar = await searchUsers(db, wanted, SHOWN_MATCHES + 1)
  if (similar.length === 0) throw noUser(given)
  const mask = createMask(context)
  const names = similar.slice(0, SHOWN_MATCHES).map(({ id, email }) => `  ${id}  ${mask(email)}`)
  const more = similar.length > SHOWN_MATCHES ? '\n  and others' : ''
  const lines = `${names.join('\n')}${more}`
  if (similar.length === 1)
    throw new CliError(EXIT.notFound, `No user has exactly this id or address. Similar:\n${lines}`)
  throw usageError(`This is a part of several users. Name one by its whole id or address:\n${lines}`)
}

export const noUser = (given: string) =>
  new CliError(EXIT.notFound, `There is no user ${given.slice(0, 254)}.`)

/** @throws CliError `usage` for text that no id, address or name contains. */
export function searchable(given: string): string {
  const text = given.trim()
  if (/\p{Cc}/u.test(text)) throw usageError('An id, an address or a name has no control characters.')
  return text
}
