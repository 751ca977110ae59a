import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { v7 as uuidv7 } from 'uuid'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rotateRefreshToken } from './rotate-refresh-token.ts'
import { deleteExpiredSessions, generateRefreshToken, insertSession } from './sessions.ts'

const USER = '00000000-0000-4000-8000-000000000001'
const LIFETIME_MS = 30 * 86_400_000

const releaser = useReleaser()
let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase(releaser)
  await database.database.pool.query(
    "INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')",
    [USER],
  )
})
beforeEach(() => database.database.pool.query('DELETE FROM sessions'))

async function startSession(expiresInMs = LIFETIME_MS): Promise<{ id: string; token: string }> {
  const id = uuidv7()
  const token = generateRefreshToken()
  await insertSession(database.database, {
    id,
    userId: USER,
    refreshToken: token,
    userAgent: null,
    ip: null,
    expiresAt: new Date(Date.now() + expiresInMs),
  })
  return { id, token }
}

async function rotate(token: string): Promise<string> {
  const result = await rotateRefreshToken(database.database, token, LIFETIME_MS)
  if (result.outcome !== 'rotated') throw new Error(`The token is ${result.outcome}`)
  return result.refreshToken
}

async function count(table: 'sessions' | 'refresh_tokens'): Promise<number> {
  const { rows } = await database.database.pool.query(`SELECT count(*)::int AS count FROM ${table}`)
  return rows[0].count
}

describe('expired sessions', () => {
  it('are deleted with their tokens; live ones stay', async () => {
    const { token } = await startSession()
    const over = await startSession()
    await rotate(over.token)
    const twoHoursAgo = "now() - interval '2 hours'"
    await database.database.pool.query(`UPDATE sessions SET expires_at = ${twoHoursAgo} WHERE id = $1`, [
      over.id,
    ])
    expect(await deleteExpiredSessions(database.database)).toBe(1)
    expect(await count('sessions')).toBe(1)
    expect(await count('refresh_tokens')).toBe(1)
    await rotate(token)
  })

  it('are deleted in batches, by several processes at once', async () => {
    for (let n = 0; n < 150; n++) await startSession(-7_200_000)
    const deleted = await Promise.all([
      deleteExpiredSessions(database.database),
      deleteExpiredSessions(database.database),
    ])
    expect(Math.max(...deleted)).toBeLessThanOrEqual(100)
    expect(await count('sessions')).toBe(150 - deleted.reduce((sum, some) => sum + some, 0))
  })
})
