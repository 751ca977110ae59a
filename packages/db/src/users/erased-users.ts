import { isUuid } from '@tidings/shared/uuid'
import { sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'

/** SQL for the digest of a user id. `id` is an SQL expression of type uuid. */
export const userDigest = (id: string) => `sha256(convert_to((${id})::text, 'UTF8'))`

/** Records permanently that this user is being erased. Safe to repeat. */
export async function recordErasure(db: Handle, userId: string): Promise<void> {
  await db.orm.execute(sql`
    INSERT INTO erased_users (user_digest)
    SELECT ${sql.raw(userDigest('given.id'))} FROM (VALUES (${userId}::uuid)) AS given(id)
    ON CONFLICT (user_digest) DO UPDATE SET erased_at = now()`)
}

/** An erasure that takes longer than this has failed, and may never be repeated. */
const LONGEST_ERASURE = '15 minutes'

/**
 * Finds the users among these ids that are erased or being erased. A user whose erasure failed is not among them.
 *
 * @param userIds texts in lower case; those that are not UUIDs are ignored.
 */
export async function findErasedUsers(db: Database, userIds: readonly string[]): Promise<Set<string>> {
  const ids = userIds.filter(isUuid)
  if (ids.length === 0) return new Set()
  const { rows } = await db.pool.query<{ id: string }>(
    `SELECT g.id FROM unnest($1::uuid[]) AS g(id)
     JOIN erased_users e ON e.user_digest = ${userDigest('g.id')}
     WHERE e.erased_at > now() - interval '${LONGEST_ERASURE}'
       OR NOT EXISTS (SELECT 1 FROM users u WHERE u.id = g.id)`,
    [ids],
  )
  return new Set(rows.map((row) => row.id))
}
