import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { v7 as uuidv7 } from 'uuid'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RotateResult, rotateRefreshToken } from './rotate-refresh-token.ts'
import { generateRefreshToken, insertSession } from './sessions.ts'

const USER = '00000000-0000-4000-8000-000000000001'
const HOUR_MS = 3_600_000
const LIFETIME_MS = 30 * 24 * HOUR_MS - HOUR_MS / 2

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

async function startSession(): Promise<{ id: string; token: string }> {
  const id = uuidv7()
  const token = generateRefreshToken()
  const expiresAt = new Date(Date.now() + LIFETIME_MS)
  await insertSession(database.database, {
    id,
    userId: USER,
    refreshToken: token,
    userAgent: null,
    ip: null,
    expiresAt,
  })
  return { id, token }
}

const exchange = (token: string) => rotateRefreshToken(database.database, token, LIFETIME_MS)

async function rotate(token: string): Promise<string> {
  const result = await exchange(token)
  if (result.outcome !== 'rotated') throw new Error(`The token is ${result.outcome}`)
  return result.refreshToken
}

/** Moves everything stored into the past. */
const pass = (interval: string) =>
  database.database.pool.query(
    `WITH tokens AS (UPDATE refresh_tokens SET rotated_at = rotated_at - $1::interval)
     UPDATE sessions SET expires_at = expires_at - $1::interval`,
    [interval],
  )

async function countTokens(): Promise<number> {
  const { rows } = await database.database.pool.query('SELECT count(*)::int AS count FROM refresh_tokens')
  return rows[0].count
}

describe('refresh tokens', () => {
  it('are exchanged during an erasure without a deadlock', async () => {
    const { id, token } = await startSession()
    const erasure = await database.database.pool.connect()
    try {
      await erasure.query('BEGIN')
      await erasure.query('SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE', [id])
      const waiting = exchange(token)
      await waitFor('the exchange to wait for the session', async () => {
        const { rows } = await database.database.pool.query(
          "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        return rows.length > 0
      })
      await erasure.query('DELETE FROM sessions WHERE id = $1', [id])
      await erasure.query('COMMIT')
      expect(await waiting).toEqual({ outcome: 'invalid' })
    } finally {
      erasure.release()
    }
  })

  it('are kept for one lifetime, however long their session lasts', async () => {
    const { token } = await startSession()
    let newest = token
    for (let day = 0; day < 35; day++) {
      newest = await rotate(newest)
      await pass('1 day')
    }
    // The tokens of thirty days, and the newest one, which is not used yet.
    expect(await countTokens()).toBe(31)
    expect(await exchange(token)).toEqual({ outcome: 'invalid' })
    await rotate(newest)
  })

  it.each(['9 seconds', '11 seconds', '1 hour', '29 days'])(
    'give the same child again after %s',
    async (time) => {
      const { token } = await startSession()
      const child = await rotate(token)
      await pass(time)
      expect(await rotate(token)).toBe(child)
      await rotate(child)
    },
  )

  it('end their session when the parent of a used token comes again, however soon', async () => {
    const { id, token } = await startSession()
    const child = await rotate(token)
    const newest = await rotate(child)
    expect(await exchange(token)).toEqual({ outcome: 'reused', sessionId: id })
    for (const each of [token, child, newest]) expect(await exchange(each)).toEqual({ outcome: 'invalid' })
  })

  it('form one family when the newest and its parent are used at once', async () => {
    const { token } = await startSession()
    const child = await rotate(token)
    const repeats = await Promise.all(Array.from({ length: 20 }, () => exchange(token)))
    expect(new Set(repeats.map((result) => result.outcome === 'rotated' && result.refreshToken))).toEqual(
      new Set([child]),
    )
    const children = await Promise.all(Array.from({ length: 20 }, () => rotate(child)))
    expect(new Set(children).size).toBe(1)
    expect(await countTokens()).toBe(3)
  })

  it('end their session when one is used again within its lifetime', async () => {
    const { id, token } = await startSession()
    const child = await rotate(token)
    await pass('29 days')
    const newest = await rotate(child)
    expect(await exchange(token)).toEqual({
      outcome: 'reused',
      sessionId: id,
    })
    expect(await exchange(newest)).toEqual({ outcome: 'invalid' })
  })

  /** The rule, told with numbers: the tokens of a session in the order they were made. */
  class Model {
    newest = 0
    isEnded = false
    expiresAtMs = LIFETIME_MS
    /** When each token but the newest was exchanged first. */
    exchangedAtMs: number[] = []
    forgotten = 0

    use(token: number, nowMs: number): { outcome: RotateResult['outcome']; child?: number } {
      if (this.isEnded || nowMs >= this.expiresAtMs || token < this.forgotten) return { outcome: 'invalid' }
      if (token < this.newest - 1) {
        this.isEnded = true
        return { outcome: 'reused' }
      }
      if (token === this.newest) {
        this.exchangedAtMs.push(nowMs)
        this.newest++
        this.expiresAtMs = nowMs + LIFETIME_MS
        this.forgotten = this.exchangedAtMs.filter((atMs) => atMs < nowMs - LIFETIME_MS).length
      }
      return { outcome: 'rotated', child: this.newest }
    }
  }

  it('follow a simple rule in any sequence of uses', async () => {
    // Whole hours and a lifetime of half an hour less: the time that the test itself takes never decides.
    const step = fc.record({
      back: fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(5) }),
      hours: fc.oneof(fc.constant(0), fc.nat(48), fc.integer({ min: 400, max: 800 })),
    })
    const property = fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const model = new Model()
      const { token } = await startSession()
      const tokens = [token]
      let nowMs = 0
      for (const { back, hours } of steps) {
        await pass(`${hours} hours`)
        nowMs += hours * HOUR_MS
        const index = Math.max(0, model.newest - back)
        const expected = model.use(index, nowMs)
        const result = await rotateRefreshToken(database.database, tokens[index] ?? '', LIFETIME_MS)
        expect(result.outcome).toBe(expected.outcome)
        if (result.outcome !== 'rotated' || expected.child === undefined) continue
        tokens[expected.child] ??= result.refreshToken
        expect(result.refreshToken).toBe(tokens[expected.child])
      }
      expect(new Set(tokens).size).toBe(tokens.length)
    })
    await fc.assert(property, { numRuns: 60 })
  })
})
