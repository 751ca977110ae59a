import { randomBytes } from 'node:crypto'
import {
  OUTBOUND_LINKS,
  type OutboundKind,
  RESET_PURPOSES,
  type TokenPurpose,
} from '@tidings/shared/outbound-message'
import { hashSecret } from '@tidings/shared/service-key'
import { and, eq, gt, gte, inArray, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Handle } from '../database.ts'
import { oneTimeTokens } from '../schema/one-time-tokens.ts'
import { outboundMessages } from '../schema/outbound-messages.ts'

/** The links that end when the password changes. */
export const PASSWORD_CHANGE_VOIDS: readonly TokenPurpose[] = [...RESET_PURPOSES, 'email_change']

export interface NewToken {
  userId: string
  purpose: TokenPurpose
  /** The address that the token proves, changes to, or restores. */
  email: string
  expiresAt: Date
}

/** Makes a token of 256 random bits and stores its digest. @returns the token, which nothing else stores. */
export async function mintToken(db: Handle, token: NewToken): Promise<string> {
  const secret = randomBytes(32).toString('base64url')
  await db.orm.insert(oneTimeTokens).values({ ...token, digest: hashSecret(secret) })
  return secret
}

/** The condition that finds a token which still works. Any text may be asked for, because only its digest is. */
export const isUsable = (purposes: readonly TokenPurpose[], token: string) =>
  and(
    eq(oneTimeTokens.digest, hashSecret(token)),
    inArray(oneTimeTokens.purpose, [...purposes]),
    gt(oneTimeTokens.expiresAt, sql`now()`),
  )

export interface TokenGrant {
  userId: string
  email: string
}

/**
 * Uses a token up, together with the user's other tokens for the same purpose. Of concurrent uses, one succeeds.
 *
 * Undoing a change leaves the links that undo earlier changes: whoever took over the account may have got the later link,
 * and would otherwise void that of the owner with it. A link expires a fixed time after its change, so that tells which
 * change was earlier.
 *
 * @returns undefined when the token is unknown, used, void, expired, or made for another purpose.
 */
export async function useToken(
  db: Handle,
  purpose: TokenPurpose,
  token: string,
): Promise<TokenGrant | undefined> {
  const [grant] = await db.orm
    .delete(oneTimeTokens)
    .where(isUsable([purpose], token))
    .returning({
      userId: oneTimeTokens.userId,
      email: oneTimeTokens.email,
      expiresAt: oneTimeTokens.expiresAt,
    })
  if (grant === undefined) return undefined
  const { userId, email, expiresAt } = grant
  await voidTokensOf(db, [userId], [purpose], purpose === 'email_undo' ? expiresAt : undefined)
  return { userId, email }
}

/**
 * Ends a user's tokens for these purposes, and cancels the messages that would carry one. Call it in the transaction
 * of the change that makes them void.
 */
export async function voidTokens(
  db: Handle,
  userId: string,
  purposes: readonly TokenPurpose[],
): Promise<void> {
  await voidTokensOf(db, [userId], purposes)
}

/** Like voidTokens, for several users. @param expiresFrom leaves out what expires earlier. */
export async function voidTokensOf(
  db: Handle,
  userIds: readonly string[],
  purposes: readonly TokenPurpose[],
  expiresFrom?: Date,
): Promise<void> {
  const isLater = (column: PgColumn): SQL | undefined => expiresFrom && gte(column, expiresFrom)
  if (userIds.length === 0) return
  // The messages first: this waits for a relay that is making a token, and the next statement then sees it.
  await db.orm
    .update(outboundMessages)
    .set({ state: 'cancelled' })
    .where(
      and(
        inArray(outboundMessages.userId, [...userIds]),
        eq(outboundMessages.state, 'pending'),
        inArray(outboundMessages.kind, kindsFor(purposes)),
        isLater(outboundMessages.expiresAt),
      ),
    )
  await db.orm
    .delete(oneTimeTokens)
    .where(
      and(
        inArray(oneTimeTokens.userId, [...userIds]),
        inArray(oneTimeTokens.purpose, [...purposes]),
        isLater(oneTimeTokens.expiresAt),
      ),
    )
}

const kindsFor = (purposes: readonly TokenPurpose[]) =>
  (Object.keys(OUTBOUND_LINKS) as OutboundKind[]).filter((kind) => {
    const link = OUTBOUND_LINKS[kind]
    return link !== undefined && purposes.includes(link.purpose)
  })
