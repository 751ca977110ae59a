import { hash } from 'node:crypto'
import type pg from 'pg'

const digestOf = (userId: string) => hash('sha256', userId.toLowerCase(), 'buffer')

/** Remembers, for good, that this user is erased or about to be. Safe to repeat. */
export async function noteErasure(pool: pg.Pool, userId: string): Promise<void> {
  await pool.query('INSERT INTO erased_users (user_digest) VALUES ($1) ON CONFLICT DO NOTHING', [
    digestOf(userId),
  ])
}

/** Which of these ids, of any form, are of erased users. */
export async function findErasedUsers(pool: pg.Pool, userIds: readonly string[]): Promise<Set<string>> {
  if (userIds.length === 0) return new Set()
  const idByDigest = new Map(userIds.map((id) => [digestOf(id).toString('hex'), id.toLowerCase()]))
  const { rows } = await pool.query<{ digest: string }>(
    `SELECT encode(user_digest, 'hex') AS digest FROM erased_users WHERE user_digest = ANY($1::bytea[])`,
    [[...idByDigest.keys()].map((digest) => `\\x${digest}`)],
  )
  return new Set(rows.map((row) => idByDigest.get(row.digest) ?? ''))
}
