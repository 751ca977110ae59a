import { desc, eq, ilike, or, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { escapeLike } from '../escape-like.ts'
import { sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'
import { type UserRow, userColumns } from './users.ts'

/** Finds users by a part of their name, address or id, the newest first. Reads all users. */
export async function searchUsers({ orm }: Database, text: string, limit: number): Promise<UserRow[]> {
  const pattern = `%${escapeLike(text)}%`
  return orm
    .select(userColumns)
    .from(users)
    .where(
      or(ilike(users.email, pattern), ilike(users.name, pattern), ilike(sql`${users.id}::text`, pattern)),
    )
    .orderBy(desc(users.createdAt), desc(users.id))
    .limit(limit)
}

/** The id and the address of every stored session of a user, live or ended. */
export async function listStoredSessions(
  { orm }: Database,
  userId: string,
): Promise<{ id: string; ip: string | null }[]> {
  return orm.select({ id: sessions.id, ip: sessions.ip }).from(sessions).where(eq(sessions.userId, userId))
}
