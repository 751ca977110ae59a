import { OUTBOUND_LINKS, type OutboundKind, type OutboundVariables } from '@tidings/shared/outbound-message'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { notificationStatus } from '../schema/notification-status.ts'
import { outboundMessages } from '../schema/outbound-messages.ts'
import { users } from '../schema/users.ts'
import { hasEmail } from './has-email.ts'
import { mintToken } from './one-time-tokens.ts'
import { hasRecentMessage } from './outbound-messages.ts'

/** A message that is about to be put on the queue. */
export interface ClaimedMessage {
  id: string
  kind: OutboundKind
  userId: string
  to: string
  locale: string
  variables: OutboundVariables
  expiresAt: Date
  /** The secret of the link; undefined for a notice. */
  token: string | undefined
}

/** Why a message does not go to the queue. `reported` is already there: its relay was killed before markQueued. */
export type UnsentOutcome = 'expired' | 'dropped' | 'reported'

/**
 * Takes the oldest pending messages for 30 seconds, and stores a new token for each that carries a link. Publish them,
 * then call markQueued. The digest is stored before the job exists, so every link that a user receives works. When the
 * relay is killed in between, another one takes the messages and makes further tokens. It leaves out those that the
 * e-mail service has reported on meanwhile.
 *
 * Drops password resets of unknown addresses, and those within a minute of an earlier one for the same account. Drops
 * changes to an address that another user has. Both are decided here, so that the requests take equally long.
 *
 * @param onUnsent called for each message that is taken and not returned. It may be called again after a failure.
 */
export async function claimMessages(
  db: Database,
  limit: number,
  onUnsent: (kind: OutboundKind, outcome: UnsentOutcome) => void = () => {},
): Promise<ClaimedMessage[]> {
  return db.orm.transaction(async (tx) => {
    const handle = { orm: tx }
    const due = await tx
      .select()
      .from(outboundMessages)
      .where(
        and(
          eq(outboundMessages.state, 'pending'),
          sql`(${outboundMessages.claimedUntil} IS NULL OR ${outboundMessages.claimedUntil} < now())`,
        ),
      )
      .orderBy(outboundMessages.createdAt)
      .limit(limit)
      .for('update', { skipLocked: true })
    const claimed: ClaimedMessage[] = []
    for (const message of due) {
      const { id, kind, expiresAt } = message
      if (expiresAt <= new Date()) {
        await tx.update(outboundMessages).set({ state: 'expired' }).where(eq(outboundMessages.id, id))
        onUnsent(kind, 'expired')
        continue
      }
      if (message.claimedUntil !== null && (await isReported(handle, id))) {
        await tx.update(outboundMessages).set({ state: 'queued' }).where(eq(outboundMessages.id, id))
        onUnsent(kind, 'reported')
        continue
      }
      const recipient = await findRecipient(handle, message)
      if (recipient === undefined) {
        await tx.delete(outboundMessages).where(eq(outboundMessages.id, id))
        onUnsent(kind, 'dropped')
        continue
      }
      await tx
        .update(outboundMessages)
        .set({ ...recipient, claimedUntil: sql`now() + interval '30 seconds'` })
        .where(eq(outboundMessages.id, id))
      const { userId, to } = recipient
      const purpose = OUTBOUND_LINKS[kind]?.purpose
      const token = purpose && (await mintToken(handle, { userId, purpose, email: to, expiresAt }))
      claimed.push({ ...message, ...recipient, token })
    }
    return claimed
  })
}

interface Recipient {
  userId: string
  to: string
}

async function findRecipient(
  db: Handle,
  { kind, userId, to }: { kind: OutboundKind; userId: string | null; to: string },
): Promise<Recipient | undefined> {
  if (userId === null) return findResetUser(db, to)
  const isFree = kind !== 'email_change' || (await findAddress(db, to)) === undefined
  return isFree ? { userId, to } : undefined
}

/**
 * The active user of an address; undefined also when they got a reset within the last minute. The mail goes to the
 * stored address: one that was typed could differ from it and still be equal for PostgreSQL.
 */
async function findResetUser(db: Handle, email: string): Promise<Recipient | undefined> {
  const user = await findAddress(db, email)
  if (!user?.isActive) return undefined
  const isRecent = await hasRecentMessage(db, user.id, 'password_reset', '1 minute')
  return isRecent ? undefined : { userId: user.id, to: user.email }
}

async function findAddress(db: Handle, email: string) {
  const [user] = await db.orm
    .select({ id: users.id, email: users.email, isActive: users.isActive })
    .from(users)
    .where(hasEmail(email))
  return user
}

/** Tells whether the e-mail service has reported what became of a message. */
async function isReported(db: Handle, id: string): Promise<boolean> {
  const reported = await db.orm
    .select({ id: notificationStatus.id })
    .from(notificationStatus)
    .where(and(eq(notificationStatus.notificationId, id), eq(notificationStatus.notificationType, 'email')))
    .limit(1)
  return reported.length > 0
}

/**
 * Records that messages are on the queue.
 *
 * @returns the ids of those that are still wanted. The others were cancelled since, or their user was erased.
 */
export async function markQueued(db: Database, ids: readonly string[]): Promise<string[]> {
  const queued = await db.orm
    .update(outboundMessages)
    .set({ state: 'queued', claimedUntil: null })
    .where(
      and(inArray(outboundMessages.id, [...ids]), inArray(outboundMessages.state, ['pending', 'queued'])),
    )
    .returning({ id: outboundMessages.id })
  return queued.map(({ id }) => id)
}
