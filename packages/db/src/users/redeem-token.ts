import { RESET_PURPOSES, type TokenPurpose } from '@tidings/shared/outbound-message'
import { and, eq } from 'drizzle-orm'
import type { Handle } from '../database.ts'
import { oneTimeTokens } from '../schema/one-time-tokens.ts'
import { users } from '../schema/users.ts'
import { isUsable, useToken } from './one-time-tokens.ts'

type TokenUser = typeof users.$inferSelect

/** An active user, and the address that their token is about. */
interface TokenHolder {
  user: TokenUser
  email: string
  purpose: TokenPurpose
}

/** Finds whose reset token this is, without using it. @returns undefined when it does not work. */
export async function findResetUser(db: Handle, token: string): Promise<TokenUser | undefined> {
  const holder = await findTokenHolder(db, RESET_PURPOSES, token)
  return holder && isOwnAddress(holder) ? holder.user : undefined
}

async function findTokenHolder(
  db: Handle,
  purposes: readonly TokenPurpose[],
  token: string,
): Promise<TokenHolder | undefined> {
  const [holder] = await db.orm
    .select({ user: users, email: oneTimeTokens.email, purpose: oneTimeTokens.purpose })
    .from(oneTimeTokens)
    .innerJoin(users, and(eq(users.id, oneTimeTokens.userId), eq(users.isActive, true)))
    .where(isUsable(purposes, token))
  return holder
}

/**
 * Uses up a token, and locks its user for the rest of the transaction. The user comes first, as in setPassword: in the
 * other order two changes of one user could deadlock.
 */
export async function redeemToken(
  db: Handle,
  purposes: readonly TokenPurpose[],
  token: string,
): Promise<TokenHolder | undefined> {
  const holder = await findTokenHolder(db, purposes, token)
  if (holder === undefined) return undefined
  const [user] = await db.orm
    .select()
    .from(users)
    .where(and(eq(users.id, holder.user.id), eq(users.isActive, true)))
    .for('no key update')
  const { purpose } = holder
  const grant = user && (await useToken(db, purpose, token))
  return user && grant && { user, email: grant.email, purpose }
}

/** Like redeemToken, for a token about the user's own address. Another address than the present one makes it void. */
export async function redeemOwnToken(
  db: Handle,
  purposes: readonly TokenPurpose[],
  token: string,
): Promise<TokenHolder | undefined> {
  const holder = await redeemToken(db, purposes, token)
  return holder && isOwnAddress(holder) ? holder : undefined
}

const isOwnAddress = ({ user, email }: TokenHolder) => user.email.toLowerCase() === email.toLowerCase()
