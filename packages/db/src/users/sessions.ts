import { createHmac, randomBytes } from 'node:crypto'
import { hashSecret } from '@tidings/shared/service-key'
import { and, desc, eq, gt, inArray, isNull, lt, ne, or, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { refreshTokens, sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'

export interface NewSession {
  id: string
  userId: string
  /** The first refresh token, in plain text. Only its digest is stored. */
  refreshToken: string
  userAgent: string | null
  ip: string | null
  expiresAt: Date
}

export interface Session {
  id: string
  userAgent: string | null
  ip: string | null
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
}

/** A repeat of a refresh within this time gets the same answer: the first one may have been lost. */
export const REFRESH_GRACE_MS = 10_000

/** 256 random bits. */
export function generateRefreshToken(): string {
  return randomBytes(32).toString('base64url')
}

/** What a refresh token becomes: only who holds the parent can compute the child, so none is stored. */
function deriveChild(parent: string, nonce: Buffer): string {
  return createHmac('sha256', parent).update(nonce).digest('base64url')
}

export async function insertSession(db: Handle, session: NewSession): Promise<void> {
  const { refreshToken, ...row } = session
  await db.orm.insert(sessions).values(row)
  await db.orm.insert(refreshTokens).values({ tokenHash: hashSecret(refreshToken), sessionId: session.id })
}

/**
 * Stores a login: the session, the time of the login, and the end of the user's sessions that are over.
 * False when the password is no longer the one that was checked, or the user may not log in any more.
 */
export async function startSession(
  db: Database,
  session: NewSession,
  passwordHash: string,
): Promise<boolean> {
  const now = new Date()
  const { userId } = session
  return db.orm.transaction(async (tx) => {
    const loggedIn = await tx
      .update(users)
      .set({ lastLoginAt: now })
      .where(and(eq(users.id, userId), eq(users.password, passwordHash), eq(users.isActive, true)))
      .returning({ id: users.id })
    if (loggedIn.length === 0) return false
    const over = or(
      lt(sessions.expiresAt, now),
      lt(sessions.revokedAt, new Date(now.getTime() - REFRESH_GRACE_MS)),
    )
    await tx.delete(sessions).where(and(eq(sessions.userId, userId), over))
    await insertSession({ orm: tx }, session)
    return true
  })
}

/** Those of these sessions that last, and whose user may log in. */
export async function findLiveSessions(
  db: Database,
  ids: readonly string[],
): Promise<{ id: string; userId: string }[]> {
  if (ids.length === 0) return []
  return db.orm
    .select({ id: sessions.id, userId: sessions.userId })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(and(inArray(sessions.id, [...ids]), isLive(), eq(users.isActive, true)))
}

const isLive = () => and(isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`))

/** A user's live sessions, the most recently used first. */
export async function listSessions(db: Database, userId: string): Promise<Session[]> {
  const { id, userAgent, ip, createdAt, lastUsedAt, expiresAt } = sessions
  return db.orm
    .select({ id, userAgent, ip, createdAt, lastUsedAt, expiresAt })
    .from(sessions)
    .where(and(eq(sessions.userId, userId), isLive()))
    .orderBy(desc(lastUsedAt), desc(id))
    .limit(1000)
}

export type RotateResult =
  | { outcome: 'rotated'; sessionId: string; userId: string; refreshToken: string }
  /** Used a second time after the grace: somebody else has it too. Its session is ended. */
  | { outcome: 'reused'; sessionId: string }
  | { outcome: 'invalid' }

/**
 * Exchanges a refresh token for its child. Any number of exchanges at once, and any repeat within
 * REFRESH_GRACE_MS, give the same child; a later repeat ends the session. One that was exchanged longer than a
 * lifetime ago is not known any more.
 *
 * @param lifetimeMs how long a refresh token lives, and so what its session has from now.
 */
export async function rotateRefreshToken(
  db: Database,
  refreshToken: string,
  lifetimeMs: number,
): Promise<RotateResult> {
  const tokenHash = hashSecret(refreshToken)
  return db.orm.transaction(async (tx) => {
    // The session before its token, as an erasure locks them: the other way round the two could wait for each other.
    await tx
      .select({ id: sessions.id })
      .from(sessions)
      .innerJoin(refreshTokens, eq(refreshTokens.sessionId, sessions.id))
      .where(eq(refreshTokens.tokenHash, tokenHash))
      .for('no key update', { of: sessions })
    const nonce = randomBytes(16)
    // The condition settles the race: of many at once, one finds the token not yet rotated.
    const [rotated] = await tx
      .update(refreshTokens)
      .set({ rotatedAt: new Date(), rotationNonce: nonce })
      .where(and(eq(refreshTokens.tokenHash, tokenHash), isNull(refreshTokens.rotatedAt)))
      .returning({ sessionId: refreshTokens.sessionId })
    const [found] = await tx
      .select({ token: refreshTokens, session: sessions, isActive: users.isActive })
      .from(refreshTokens)
      .innerJoin(sessions, eq(sessions.id, refreshTokens.sessionId))
      .innerJoin(users, eq(users.id, sessions.userId))
      .where(eq(refreshTokens.tokenHash, tokenHash))
    if (found === undefined) return { outcome: 'invalid' }

    const { token, session } = found
    const ended = session.revokedAt !== null || session.expiresAt <= new Date() || !found.isActive
    if (ended || token.rotationNonce === null || token.rotatedAt === null) return { outcome: 'invalid' }
    if (Date.now() - token.rotatedAt.getTime() > REFRESH_GRACE_MS) {
      await tx.update(sessions).set({ revokedAt: new Date() }).where(eq(sessions.id, session.id))
      return { outcome: 'reused', sessionId: session.id }
    }

    const child = deriveChild(refreshToken, token.rotationNonce)
    if (rotated !== undefined) {
      const now = Date.now()
      await tx.insert(refreshTokens).values({ tokenHash: hashSecret(child), sessionId: session.id })
      await tx
        .update(sessions)
        .set({ lastUsedAt: new Date(now), expiresAt: new Date(now + lifetimeMs) })
        .where(eq(sessions.id, session.id))
      const isOld = lt(refreshTokens.rotatedAt, new Date(now - lifetimeMs))
      await tx.delete(refreshTokens).where(and(eq(refreshTokens.sessionId, session.id), isOld))
    }
    return { outcome: 'rotated', sessionId: session.id, userId: session.userId, refreshToken: child }
  })
}

/** A session has up to thousands of tokens, which go with it: short enough that nobody waits for the locks. */
const OVER_SESSIONS_AT_ONCE = 100

/**
 * Deletes some sessions that have expired, with their tokens; gives their number. One that was ended expires too,
 * since nothing prolongs it. Safe to run in several processes at once.
 */
export async function deleteExpiredSessions(db: Database): Promise<number> {
  // An hour later than need be: to a process whose clock is slow the session lives, and may be prolonged.
  const result = await db.pool.query(
    `DELETE FROM sessions WHERE id = ANY(ARRAY(
       SELECT id FROM sessions WHERE expires_at < now() - interval '1 hour'
       ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
    [OVER_SESSIONS_AT_ONCE],
  )
  return result.rowCount ?? 0
}

/** Ends one session. False when it was not live. */
export async function endSession(db: Database, userId: string, sessionId: string): Promise<boolean> {
  const ended = await db.orm
    .update(sessions)
    .set({ revokedAt: new Date() })
    .where(and(eq(sessions.id, sessionId), eq(sessions.userId, userId), isNull(sessions.revokedAt)))
    .returning({ id: sessions.id })
  return ended.length > 0
}

/** Ends all of a user's sessions but `keep`; gives the ids of those ended. */
export async function endSessions(db: Handle, userId: string, keep?: string): Promise<string[]> {
  const ended = await db.orm
    .update(sessions)
    .set({ revokedAt: new Date() })
    .where(
      and(
        eq(sessions.userId, userId),
        isNull(sessions.revokedAt),
        keep === undefined ? undefined : ne(sessions.id, keep),
      ),
    )
    .returning({ id: sessions.id })
  return ended.map((row) => row.id)
}
