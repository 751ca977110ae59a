import { DEFAULT_DEVICE, type Device, type DeviceRegistration, MAX_DEVICES } from '@tidings/shared/device'
import { hashSecret } from '@tidings/shared/service-key'
import { and, desc, eq, inArray, ne, or, type SQL, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { devices } from '../schema/devices.ts'
import { users } from '../schema/users.ts'
import { type Caller, isEnded } from './caller.ts'

const toIso = (time: SQL) => sql`to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** SQL for a row of `devices` as the API shows it. */
const asDevice = sql<Device>`json_build_object(
  'device_id', ${devices}.device_id, 'platform', ${devices}.platform, 'token', ${devices}.token,
  'app', ${devices}.app, 'environment', ${devices}.environment,
  'created_at', ${toIso(sql`${devices}.created_at`)}, 'last_seen_at', ${toIso(sql`${devices}.last_seen_at`)})`

/** SQL for the devices of each selected user, the most recently seen first. */
export const devicesOfUser = sql<Device[]>`(
  SELECT coalesce(json_agg(${asDevice} ORDER BY ${devices}.last_seen_at DESC, ${devices}.device_id), '[]')
  FROM ${devices} WHERE ${devices}.user_id = ${users}.id)`

export type RegisterResult =
  | {
      outcome: 'created' | 'updated'
      device: Device
      /** Other users who had the token. */
      takenFrom: string[]
    }
  | { outcome: 'unknown_user' | 'session_ended' }

/**
 * Registers a token for a device. Takes the token from the device or the user that had it. Removes the devices over
 * MAX_DEVICES that were unseen for the longest time. Safe to repeat.
 */
export async function registerDevice(
  db: Database,
  caller: Caller,
  deviceId: string,
  registration: DeviceRegistration,
): Promise<RegisterResult> {
  const { userId } = caller
  const { token, platform, app = null, environment = null } = registration
  const details = { platform, app, environment }
  // The usual case is an app that starts again with its token. It locks one row.
  const [seen] = await db.orm
    .update(devices)
    .set({ ...details, lastSeenAt: NOW })
    .where(and(isDevice(userId, deviceId), hasToken(token)))
    .returning({ device: asDevice })
  if (seen !== undefined) return { outcome: 'updated', ...seen, takenFrom: [] }
  return db.orm.transaction(async (tx) => {
    const handle = { orm: tx }
    const locked = await lockForToken(handle, userId, token)
    if (!locked.includes(userId)) return { outcome: 'unknown_user' }
    if (await isEnded(handle, caller)) return { outcome: 'session_ended' }
    return writeDevice(handle, { userId, deviceId, token, ...details })
  })
}

/**
 * Finds the tokens of the users that a provider called not registered later than the app registered them. Senders leave
 * these devices out.
 */
export async function findInvalidTokens(
  { pool }: Database,
  userIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (userIds.length === 0) return new Set()
  const { rows } = await pool.query<{ token: string }>({
    name: 'find-invalid-tokens',
    text: 'SELECT token FROM devices WHERE user_id = ANY($1::uuid[]) AND invalid_since > last_seen_at',
    values: [userIds],
  })
  return new Set(rows.map(({ token }) => token))
}

/** Removes a device. @returns false when the user has no such device. */
export async function removeDevice(db: Database, userId: string, deviceId: string): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    // The row of the user before that of the device, as in registerDevice.
    await tx.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('no key update')
    const removed = await tx.delete(devices).where(isDevice(userId, deviceId)).returning()
    // An import must not bring the push_token back: it compares this time with the one in Django.
    if (removed.length > 0 && deviceId === DEFAULT_DEVICE)
      await tx.update(users).set({ updatedAt: new Date() }).where(eq(users.id, userId))
    return removed.length > 0
  })
}

/**
 * Makes the transactions that register one token take turns, and locks the rows of the user and of the user who has the
 * token. Whoever adds or removes a device, or changes its token, holds the lock of its user: so nobody else can do that
 * until the end of the transaction.
 * The order prevents deadlocks: the token first, then users by id. Call it before the transaction locks anything else.
 *
 * @returns the ids of those users that exist.
 */
export async function lockForToken(db: Handle, userId: string, token: string): Promise<string[]> {
  await db.orm.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${token}, 0))`)
  const holder = sql`(SELECT ${devices.userId} FROM ${devices} WHERE ${hasToken(token)})`
  const rows = await db.orm
    .select({ id: users.id })
    .from(users)
    .where(or(eq(users.id, userId), eq(users.id, holder)))
    .orderBy(users.id)
    .for('no key update')
  return rows.map(({ id }) => id)
}

/**
 * Writes the token of a user's device `default`, in a transaction that called lockForToken. The same token again keeps
 * the platform.
 *
 * @returns the ids of other users who had the token.
 */
export async function writePushToken(db: Handle, userId: string, token: string): Promise<string[]> {
  const seen = await db.orm
    .update(devices)
    .set({ lastSeenAt: NOW })
    .where(and(isDevice(userId, DEFAULT_DEVICE), hasToken(token)))
    .returning({ userId: devices.userId })
  if (seen.length > 0) return []
  const { takenFrom } = await writeDevice(db, {
    userId,
    deviceId: DEFAULT_DEVICE,
    token,
    ...{ platform: null, app: null, environment: null },
  })
  return takenFrom
}

type NewDevice = Omit<typeof devices.$inferInsert, 'tokenDigest' | 'createdAt' | 'lastSeenAt'>

/** Writes a device whose token or id is new, in a transaction that called lockForToken. */
async function writeDevice(db: Handle, device: NewDevice) {
  const { userId, deviceId, token } = device
  const replaced = await db.orm
    .delete(devices)
    .where(or(hasToken(token), isDevice(userId, deviceId)))
    .returning({ userId: devices.userId, deviceId: devices.deviceId, createdAt: devices.createdAt })
  const before = replaced.find((row) => row.userId === userId && row.deviceId === deviceId)
  const row = {
    ...device,
    tokenDigest: hashSecret(token),
    createdAt: before?.createdAt ?? NOW,
    lastSeenAt: NOW,
  }
  const [written] = await db.orm
    .insert(devices)
    .values(row)
    // An import may insert the token meanwhile: it locks users, but no tokens.
    .onConflictDoUpdate({ target: devices.tokenDigest, set: row })
    .returning({ device: asDevice })
  if (written === undefined) throw new Error('The device was not written')
  await removeSurplus(db, userId, deviceId)
  const others = new Set(replaced.map((row) => row.userId).filter((id) => id !== userId))
  const outcome: 'created' | 'updated' = before === undefined ? 'created' : 'updated'
  return { outcome, ...written, takenFrom: [...others] }
}

/** Keeps MAX_DEVICES of a user: `keep`, and the others that were seen last. */
async function removeSurplus(db: Handle, userId: string, keep: string): Promise<void> {
  const others = and(eq(devices.userId, userId), ne(devices.deviceId, keep))
  const surplus = db.orm
    .select({ deviceId: devices.deviceId })
    .from(devices)
    .where(others)
    .orderBy(desc(devices.lastSeenAt), devices.deviceId)
    .offset(MAX_DEVICES - 1)
  await db.orm.delete(devices).where(and(others, inArray(devices.deviceId, surplus)))
}

/** Not now(): that is when the transaction began to wait for its locks. */
const NOW = sql`statement_timestamp()`

const isDevice = (userId: string, deviceId: string) =>
  and(eq(devices.userId, userId), eq(devices.deviceId, deviceId))

const hasToken = (token: string): SQL => eq(devices.tokenDigest, hashSecret(token))
