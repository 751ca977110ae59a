import { DEFAULT_DEVICE, type Device } from '@tidings/shared/device'
import { hashSecret } from '@tidings/shared/service-key'
import type { CategoryChoices, User, UserUpdate } from '@tidings/shared/user'
import { and, desc, eq, getTableColumns, inArray, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import { devices } from '../schema/devices.ts'
import { users } from '../schema/users.ts'
import { type Caller, isEnded } from './caller.ts'
import { devicesOfUser, lockForToken, writePushToken } from './devices.ts'
import { hasEmail } from './has-email.ts'
import { addMessage } from './outbound-messages.ts'
import { insertSession, type NewSession } from './sessions.ts'

/** A user with the devices, the most recently seen first. */
export type UserRow = typeof users.$inferSelect & { devices: Device[] }

/** What the user chose, as the API shows it. */
export const preferencesOf = (row: UserRow): User['preferences'] => ({
  email: row.emailNotifications,
  push: row.pushNotifications,
  ...(Object.keys(row.categoryChoices).length > 0 && { categories: row.categoryChoices }),
})

/** The columns of a UserRow. */
export const userColumns = { ...getTableColumns(users), devices: devicesOfUser }

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

export type CreateUserResult =
  /** `takenFrom`: other users who had the push token. */
  { outcome: 'created'; user: UserRow; takenFrom: string[] } | { outcome: 'email_taken' }

/** Stores a user, the push token, the first session, and the message that verifies the address, in one transaction. */
export async function createUser(
  db: Database,
  { pushToken, ...user }: NewUser,
  session: NewSession,
  locale?: string,
): Promise<CreateUserResult> {
  try {
    return await db.orm.transaction(async (tx) => {
      const handle = { orm: tx }
      if (pushToken !== null) await lockForToken(handle, user.id, pushToken)
      await tx.insert(users).values({ ...user, lastLoginAt: new Date() })
      const takenFrom = pushToken === null ? [] : await writePushToken(handle, user.id, pushToken)
      await insertSession(handle, session)
      await addMessage(handle, { kind: 'email_verification', userId: user.id, to: user.email, locale })
      const [row] = await tx.select(userColumns).from(users).where(eq(users.id, user.id))
      return { outcome: 'created' as const, user: row as UserRow, takenFrom }
    })
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return { outcome: 'email_taken' }
    throw error
  }
}

/** Finds a user by address; upper and lower case are equal. */
export async function findUserByEmail(db: Database, email: string): Promise<UserRow | undefined> {
  const [row] = await db.orm.select(userColumns).from(users).where(hasEmail(email))
  return row
}

export async function findUser(db: Database, id: string): Promise<UserRow | undefined> {
  const [row] = await db.orm.select(userColumns).from(users).where(eq(users.id, id))
  return row
}

/** Finds the user who receives at a push token. */
export async function findUserByPushToken(db: Database, token: string): Promise<UserRow | undefined> {
  const [found] = await db.orm
    .select(userColumns)
    .from(devices)
    .innerJoin(users, eq(users.id, devices.userId))
    .where(eq(devices.tokenDigest, hashSecret(token)))
  return found
}

/** Finds users by id, in no particular order. */
export async function findUsers(db: Database, ids: readonly string[]): Promise<UserRow[]> {
  if (ids.length === 0) return []
  return db.orm
    .select(userColumns)
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
    .select(userColumns)
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

export type UpdateResult =
  /** `takenFrom`: other users who had the push token. */
  { outcome: 'updated'; user: UserRow; takenFrom: string[] } | { outcome: 'unknown_user' | 'session_ended' }

/** Changes only the given fields. The push token is that of the device `default`. */
export async function updateUser(db: Database, caller: Caller, change: UserUpdate): Promise<UpdateResult> {
  const { userId } = caller
  const { push_token: pushToken } = change
  return db.orm.transaction(async (tx) => {
    const handle = { orm: tx }
    const locked = await lockUser(handle, userId, pushToken)
    if (!locked) return { outcome: 'unknown_user' }
    if (await isEnded(handle, caller)) return { outcome: 'session_ended' }
    if (pushToken === null)
      await tx.delete(devices).where(and(eq(devices.userId, userId), eq(devices.deviceId, DEFAULT_DEVICE)))
    const takenFrom = typeof pushToken === 'string' ? await writePushToken(handle, userId, pushToken) : []
    return { outcome: 'updated', user: await writeUser(handle, userId, change), takenFrom }
  })
}

/** Locks the row of a user, and what writePushToken needs. @returns false when there is no such user. */
async function lockUser(db: Handle, id: string, pushToken: string | null | undefined): Promise<boolean> {
  if (typeof pushToken === 'string') return (await lockForToken(db, id, pushToken)).includes(id)
  const found = await db.orm.select({ id: users.id }).from(users).where(eq(users.id, id)).for('no key update')
  return found.length > 0
}

/** Writes the fields of a locked user. */
async function writeUser(db: Handle, id: string, change: UserUpdate): Promise<UserRow> {
  const { name, preferences } = change
  const [user] = await db.orm
    .update(users)
    .set({
      ...(name !== undefined && { name }),
      ...(preferences?.email !== undefined && { emailNotifications: preferences.email }),
      ...(preferences?.push !== undefined && { pushNotifications: preferences.push }),
      ...(preferences?.categories !== undefined && { categoryChoices: mergeChoices(preferences.categories) }),
      updatedAt: new Date(),
    })
    .where(eq(users.id, id))
    .returning(userColumns)
  return user as UserRow
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
