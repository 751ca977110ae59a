import { generateRefreshToken, type NewSession } from '@tidings/db/users/sessions'
import { v7 as uuidv7 } from 'uuid'
import type { Client } from './client.ts'

/** Makes a session with its first refresh token. The caller stores it. */
export function newSession(userId: string, client: Client, ttlSeconds: number): NewSession {
  return {
    id: uuidv7(),
    userId,
    refreshToken: generateRefreshToken(),
    userAgent: client.userAgent,
    ip: client.address,
    expiresAt: new Date(Date.now() + ttlSeconds * 1000),
  }
}
