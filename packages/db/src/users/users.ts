import type { CategoryChoices, UserUpdate } from '@tidings/shared/user'
import { and, desc, eq, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import { users } from '../schema/users.ts'
import { insertSession, type NewSession } from './sessions.ts'

export type UserRow = typeof users.$inferSelect

export interface NewUser {
  id: string
  email: string
  name: string
  /** Encoded in Django's format. */
  password: string
  pushToken: string | null
  emailNotifications: boolean
  pushNotifications: boolean
}

export type CreateUserResult = { outcome: 'created'; user: UserRow } | { outcome: 'email_taken' }

/** Stores a user and the first session in one transaction. */
export async function createUser(
  db: Database,
  user: NewUser,
  session: NewSession,
): Promise<CreateUserResult> {
  try {
    return await db.orm.transaction(async (tx) => {
      const [row] = await tx
        .insert(users)
        .values({ ...user, lastLoginAt: new Date() })
        .returning()
      await insertSession({ orm: tx }, session)
      return { outcome: 'created' as const, user: row as UserRow }
    })
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return { outcome: 'email_taken' }
    throw error
  }
}

/** Finds a user by address; upper and lower case are equal. */
export async function findUserByEmail(db: Database, email: string): Promise<UserRow | undefined> {
  const [row] = await db.orm
    .select()
    .from(users)
    .where(eq(sql`lower(${users.email})`, sql`lower(${email})`))
  return row
}

export async function findUser(db: Database, id: string): Promise<UserRow | undefined> {
  const [row] = await db.orm.select().from(users).where(eq(users.id, id))
  return row
}

/** Finds users by id, in no particular order. */
export async function findUsers(db: Database, ids: readonly string[]): Promise<UserRow[]> {
  if (ids.length === 0) return []
  return db.orm
    .select()
    .from(users)
    .where(inArray(users.id, [...ids]))
}

/** The last user of a page. The next page starts after it. */
export interface UserPosition {
  createdAt: Date
  id: string
}

/** Lists users, newest first. */
export async function listUsers(
  db: Database,
  page: { limit: number; after?: UserPosition | undefined },
): Promise<UserRow[]> {
  const { after } = page
  return db.orm
    .select()
    .from(users)
    .where(
      after &&
        or(
          lt(users.createdAt, after.createdAt),
          and(eq(users.createdAt, after.createdAt), lt(users.id, after.id)),
        ),
    )
    .orderBy(desc(users.createdAt), desc(users.id))
    .limit(page.limit)
}

/** Changes only the given fields. @returns undefined when the user does not exist. */
export async function updateUser(db: Database, id: string, change: UserUpdate): Promise<UserRow | undefined> {
  const { name, push_token: pushToken, preferences } = change
  const [row] = await db.orm
    .update(users)
    .set({
      ...(name !== undefined && { name }),
      ...(pushToken !== undefined && { pushToken }),
      ...(preferences?.email !== undefined && { emailNotifications: preferences.email }),
      ...(preferences?.push !== undefined && { pushNotifications: preferences.push }),
      ...(preferences?.categories !== undefined && { categoryChoices: mergeChoices(preferences.categories) }),
      updatedAt: new Date(),
    })
    .where(eq(users.id, id))
    .returning()
  return row
}

/** SQL for the choices of a user with some changed. In one statement, so that two changes at once keep both. */
function mergeChoices(changes: CategoryChoices): SQL {
  const choices = sql`${users.categoryChoices}`
  const merged = Object.entries(changes).map(
    ([key, choice]) =>
      sql`jsonb_build_object(${key}::text, coalesce(${choices} -> ${key}::text, '{}') || ${JSON.stringify(choice)}::jsonb)`,
  )
  return sql.join([choices, ...merged], sql` || `)
}

/** Replaces the hash by another hash of the same password. @returns false when the password changed meanwhile. */
export async function replacePasswordHash(
  db: Database,
  id: string,
  hashes: { from: string; to: string },
): Promise<boolean> {
  const replaced = await db.orm
    .update(users)
    .set({ password: hashes.to })
    .where(and(eq(users.id, id), eq(users.password, hashes.from)))
    .returning({ id: users.id })
  return replaced.length > 0
}
