import { createHmac, randomBytes } from 'node:crypto'
import { hashSecret } from '@tidings/shared/service-key'
import { and, eq, isNull, lt } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { refreshTokens, sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'

export type RotateResult =
  | { outcome: 'rotated'; sessionId: string; userId: string; refreshToken: string }
  /** Its child was used already: a second party has the token. The session was ended. */
  | { outcome: 'reused'; sessionId: string }
  | { outcome: 'invalid' }

/** Derives the next refresh token. Only the holder of the parent can compute it, so no token is stored. */
function deriveChild(parent: string, nonce: Buffer): string {
  return createHmac('sha256', parent).update(nonce).digest('base64url')
}

/**
 * Exchanges a refresh token for its child. Concurrent exchanges, and repeats at any time until the child is exchanged,
 * return the same child: a client may have lost the answer. A later repeat ends the session. A token exchanged more than
 * a lifetime ago is `invalid`.
 *
 * @param lifetimeMs lifetime of a refresh token. The session is prolonged by it, from now.
 */
export async function rotateRefreshToken(
  db: Database,
  refreshToken: string,
  lifetimeMs: number,
): Promise<RotateResult> {
  const tokenHash = hashSecret(refreshToken)
  return db.orm.transaction(async (tx) => {
    // Exchanges of a session take turns: none uses the child between another's reads. Lock the session before its token,
    // as an erasure does. In the other order the two could deadlock.
    await tx
      .select({ id: sessions.id })
      .from(sessions)
      .innerJoin(refreshTokens, eq(refreshTokens.sessionId, sessions.id))
      .where(eq(refreshTokens.tokenHash, tokenHash))
      .for('no key update', { of: sessions })
    const [found] = await tx
      .select({ nonce: refreshTokens.rotationNonce, session: sessions, isActive: users.isActive })
      .from(refreshTokens)
      .innerJoin(sessions, eq(sessions.id, refreshTokens.sessionId))
      .innerJoin(users, eq(users.id, sessions.userId))
      .where(eq(refreshTokens.tokenHash, tokenHash))
    if (found === undefined) return { outcome: 'invalid' }

    const { session } = found
    const now = new Date()
    if (session.revokedAt !== null || session.expiresAt <= now || !found.isActive)
      return { outcome: 'invalid' }
    const rotated = { outcome: 'rotated', sessionId: session.id, userId: session.userId } as const
    if (found.nonce !== null) {
      const child = deriveChild(refreshToken, found.nonce)
      const unused = await tx
        .select({ tokenHash: refreshTokens.tokenHash })
        .from(refreshTokens)
        .where(and(eq(refreshTokens.tokenHash, hashSecret(child)), isNull(refreshTokens.rotatedAt)))
      if (unused.length > 0) return { ...rotated, refreshToken: child }
      await tx.update(sessions).set({ revokedAt: now }).where(eq(sessions.id, session.id))
      return { outcome: 'reused', sessionId: session.id }
    }

    const nonce = randomBytes(16)
    const child = deriveChild(refreshToken, nonce)
    await tx
      .update(refreshTokens)
      .set({ rotatedAt: now, rotationNonce: nonce })
      .where(eq(refreshTokens.tokenHash, tokenHash))
    await tx.insert(refreshTokens).values({ tokenHash: hashSecret(child), sessionId: session.id })
    await tx
      .update(sessions)
      .set({ lastUsedAt: now, expiresAt: new Date(now.getTime() + lifetimeMs) })
      .where(eq(sessions.id, session.id))
    const isOld = lt(refreshTokens.rotatedAt, new Date(now.getTime() - lifetimeMs))
    await tx.delete(refreshTokens).where(and(eq(refreshTokens.sessionId, session.id), isOld))
    return { ...rotated, refreshToken: child }
  })
}
