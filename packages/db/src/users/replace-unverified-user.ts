import { and, eq, isNull, ne, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { outboundMessages } from '../schema/outbound-messages.ts'
import { users } from '../schema/users.ts'
import { eraseLockedUser } from './erase-user.ts'
import { recordErasure } from './erased-users.ts'
import { hasEmail } from './has-email.ts'

/**
 * Erases an account that never proved its address, for the owner of the address. Somebody may have registered it in
 * advance, to share the account with the owner later: nothing of it may go over to the owner. As with any erasure, its
 * events stay without the user. Safe to repeat.
 *
 * @returns false when the account proved its address meanwhile, has another one, or is gone.
 */
export async function replaceUnverifiedUser(
  db: Pick<Database, 'orm'>,
  userId: string,
  email: string,
): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const user = await lockUnverifiedUser({ orm: tx }, email)
    if (user?.id !== userId) return false
    await erase({ orm: tx }, user)
    return true
  })
}

/**
 * Erases the account that took the earlier address of a user and never proved it, in a transaction: whoever changed the
 * address may have registered it, so that the change could not be undone. A user who had not proved the address either
 * has no better right to it.
 */
export async function replaceSquatter(
  db: Handle,
  userId: string,
  email: string,
): Promise<{ userId: string; endedSessionIds: string[] } | undefined> {
  const squatter = await lockUnverifiedUser(db, email, userId)
  if (squatter === undefined || !(await hadProved(db, userId, email))) return undefined
  return { userId: squatter.id, ...(await erase(db, squatter)) }
}

async function lockUnverifiedUser({ orm }: Handle, email: string, except?: string) {
  const [user] = await orm
    .select()
    .from(users)
    .where(
      and(
        hasEmail(email),
        isNull(users.emailVerifiedAt),
        except === undefined ? undefined : ne(users.id, except),
      ),
    )
    .for('no key update')
  return user
}

/** Tells it from the message about the change: only one to a proved address names the user, see `greet`. */
async function hadProved({ orm }: Handle, userId: string, email: string): Promise<boolean> {
  const found = await orm
    .select({ id: outboundMessages.id })
    .from(outboundMessages)
    .where(
      and(
        eq(outboundMessages.userId, userId),
        eq(outboundMessages.kind, 'email_changed'),
        eq(sql`lower(${outboundMessages.to})`, sql`lower(${email})`),
        sql`${outboundMessages.variables} ? 'name'`,
      ),
    )
    .limit(1)
  return found.length > 0
}

async function erase(db: Handle, user: typeof users.$inferSelect) {
  await recordErasure(db, user.id)
  return eraseLockedUser(db, user)
}
