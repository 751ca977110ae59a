import { randomBytes } from 'node:crypto'
import { hashSecret } from '@tidings/shared/service-key'
import { and, desc, eq, gt, gte, inArray, isNull, lt, ne, or, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { refreshTokens, sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'
import { isNewDevice, type LoginOrigin } from './new-device.ts'
import { addNotice, greet } from './outbound-messages.ts'

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

/** Most live sessions of a user. The next login ends the one that was not used for the longest time. */
const MAX_SESSIONS = 50

/** 256 random bits. */
export function generateRefreshToken(): string {
  return randomBytes(32).toString('base64url')
}

export async function insertSession(db: Handle, session: NewSession): Promise<void> {
  const { refreshToken, ...row } = session
  await db.orm.insert(sessions).values(row)
  await db.orm.insert(refreshTokens).values({ tokenHash: hashSecret(refreshToken), sessionId: session.id })
}

/**
 * Stores a login: it adds the session, sets the time of the last login, and deletes the user's expired sessions. Of the
 * others it keeps MAX_SESSIONS with the new one: live ones first, then the most recently used. The user is told of a
 * login from a device that no stored session has.
 *
 * @returns the ids of the deleted sessions; undefined when the password changed since it was checked, or the user was
 *   deactivated.
 */
export async function startSession(
  db: Database,
  session: NewSession,
  passwordHash: string,
  origin: LoginOrigin,
): Promise<{ endedSessionIds: string[] } | undefined> {
  const now = new Date()
  const { userId } = session
  const { device, network, locale } = origin
  return db.orm.transaction(async (tx) => {
    // The row lock makes concurrent logins of a user take turns, so that each sees the sessions of the others.
    const [user] = await tx
      .update(users)
      .set({ lastLoginAt: now })
      .where(and(eq(users.id, userId), eq(users.password, passwordHash), eq(users.isActive, true)))
      .returning({
        email: users.email,
        name: users.name,
        emailVerifiedAt: users.emailVerifiedAt,
        isNewDevice: isNewDevice(session, network),
      })
    if (user === undefined) return undefined
    const surplus = tx
      .select({ id: sessions.id })
      .from(sessions)
      .where(and(eq(sessions.userId, userId), gte(sessions.expiresAt, now)))
      .orderBy(sql`${sessions.revokedAt} IS NOT NULL`, desc(sessions.lastUsedAt), desc(sessions.id))
      .offset(MAX_SESSIONS - 1)
    const ended = await tx
      .delete(sessions)
      .where(and(eq(sessions.userId, userId), or(lt(sessions.expiresAt, now), inArray(sessions.id, surplus))))
      .returning({ id: sessions.id })
    await insertSession({ orm: tx }, session)
    if (user.isNewDevice) {
      const variables = { ...greet(user, { device: device ?? '' }), address: network }
      const message = {
        kind: 'new_device',
        userId,
        to: user.email,
        locale,
        variables,
      } as const
      await addNotice({ orm: tx }, message)
    }
    return { endedSessionIds: ended.map(({ id }) => id) }
  })
}

/**
 * Tells whether the user of an e-mail address has logged in from a network: a session from there is stored, live or
 * ended.
 *
 * @param network an address, or a network such as 2001:db8::/56.
 */
export async function hasLoggedInFrom(db: Database, email: string, network: string): Promise<boolean> {
  const { rows } = await db.pool.query(
    `SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id
     WHERE lower(u.email) = lower($1) AND s.ip <<= $2::inet LIMIT 1`,
    [email, network],
  )
  return rows.length > 0
}

/** Returns how long ago the login of a live session was, in seconds. */
export async function readSessionAge(db: Database, sessionId: string): Promise<number | undefined> {
  const [row] = await db.orm
    .select({ seconds: sql<string>`extract(epoch FROM now() - ${sessions.createdAt})` })
    .from(sessions)
    .where(and(eq(sessions.id, sessionId), isLive()))
  return row && Number(row.seconds)
}

/** Finds the sessions among these ids that are live and whose user is active. */
export async function findLiveSessions(
  db: Handle,
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

/** Lists a user's live sessions, the most recently used first. */
export async function listSessions(db: Database, userId: string): Promise<Session[]> {
  const { id, userAgent, ip, createdAt, lastUsedAt, expiresAt } = sessions
  return db.orm
    .select({ id, userAgent, ip, createdAt, lastUsedAt, expiresAt })
    .from(sessions)
    .where(and(eq(sessions.userId, userId), isLive()))
    .orderBy(desc(lastUsedAt), desc(id))
    .limit(MAX_SESSIONS)
}

/** Sessions deleted by one statement. Each may have thousands of tokens, and others wait for the locks. */
const OVER_SESSIONS_AT_ONCE = 100

/**
 * Deletes some expired sessions with their tokens. Ended sessions expire too, because nothing prolongs them. Safe in
 * several processes at once.
 *
 * @returns the number of deleted sessions.
 */
export async function deleteExpiredSessions(db: Database): Promise<number> {
  // One hour after the expiry: a process with a slow clock may still prolong the session.
  const result = await db.pool.query(
    `DELETE FROM sessions WHERE id = ANY(ARRAY(
       SELECT id FROM sessions WHERE expires_at < now() - interval '1 hour'
       ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
    [OVER_SESSIONS_AT_ONCE],
  )
  return result.rowCount ?? 0
}

/** Ends a user's session. @returns false when the user has no such live session. */
export async function endSession(db: Database, userId: string, sessionId: string): Promise<boolean> {
  const ended = await db.orm
    .update(sessions)
    .set({ revokedAt: new Date() })
    .where(and(eq(sessions.id, sessionId), eq(sessions.userId, userId), isLive()))
    .returning({ id: sessions.id })
  return ended.length > 0
}

/** Ends all sessions of a user but `keep`. @returns the ids of the ended sessions. */
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
