import { type HookCredential, MAX_HOOK_CREDENTIALS } from '@tidings/shared/hook'
import { and, asc, eq, inArray, isNull } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import { hooks } from '../schema/hooks.ts'
import { type AuditRecord, insertAudit } from './audit.ts'

export type Hook = typeof hooks.$inferSelect

export type NewHook = Pick<Hook, 'id' | 'provider' | 'name' | 'credentials' | 'isTrial'>

/**
 * Stores a hook and its audit row, in one transaction.
 *
 * @returns `name_taken` when a live hook has this name.
 */
export async function createHook(
  db: Database,
  hook: NewHook,
  audit: AuditRecord,
): Promise<'created' | 'name_taken'> {
  try {
    await db.orm.transaction(async (tx) => {
      await tx.insert(hooks).values(hook)
      await insertAudit({ orm: tx }, audit)
    })
    return 'created'
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return 'name_taken'
    throw error
  }
}

/** Finds the live hook with this id. */
export async function findHook(db: Database, id: string): Promise<Hook | undefined> {
  const [row] = await db.orm
    .select()
    .from(hooks)
    .where(and(eq(hooks.id, id), isNull(hooks.revokedAt)))
  return row
}

/** Finds the live hook with this name. */
export async function findHookByName(db: Database, name: string): Promise<Hook | undefined> {
  const [row] = await db.orm
    .select()
    .from(hooks)
    .where(and(eq(hooks.name, name), isNull(hooks.revokedAt)))
  return row
}

/** Lists every hook, live or revoked, oldest first. */
export async function listHooks(db: Database): Promise<Hook[]> {
  return db.orm.select().from(hooks).orderBy(asc(hooks.createdAt), asc(hooks.id))
}

type RotateOutcome = 'rotated' | 'not_found' | 'not_finished' | 'not_started'

/**
 * Adds a credential as the newest. The old one stays valid until finishRotation.
 *
 * @returns `not_finished` when the hook has two already.
 */
export function startRotation(
  db: Database,
  id: string,
  credential: HookCredential,
  audit: AuditRecord,
): Promise<RotateOutcome> {
  return changeCredentials(db, id, audit, (credentials) =>
    credentials.length >= MAX_HOOK_CREDENTIALS ? 'not_finished' : [credential, ...credentials],
  )
}

/**
 * Drops all credentials but the newest.
 *
 * @returns `not_started` when the hook has one only.
 */
export function finishRotation(db: Database, id: string, audit: AuditRecord): Promise<RotateOutcome> {
  return changeCredentials(db, id, audit, (credentials) =>
    credentials.length < MAX_HOOK_CREDENTIALS ? 'not_started' : credentials.slice(0, 1),
  )
}

async function changeCredentials(
  db: Database,
  id: string,
  audit: AuditRecord,
  change: (credentials: HookCredential[]) => HookCredential[] | 'not_finished' | 'not_started',
): Promise<RotateOutcome> {
  return db.orm.transaction(async (tx) => {
    const isLive = and(eq(hooks.id, id), isNull(hooks.revokedAt))
    // Two rotations take turns: otherwise the second would overwrite the credential of the first.
    const [row] = await tx.select({ credentials: hooks.credentials }).from(hooks).where(isLive).for('update')
    if (row === undefined) return 'not_found'
    const changed = change(row.credentials)
    if (typeof changed === 'string') return changed
    await tx.update(hooks).set({ credentials: changed }).where(isLive)
    await insertAudit({ orm: tx }, audit)
    return 'rotated'
  })
}

/** Revokes a hook and forgets what verified its requests. Returns false when there is no live hook with this id. */
export async function revokeHook(db: Database, id: string, audit: AuditRecord): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const revoked = await tx
      .update(hooks)
      .set({ revokedAt: new Date(), credentials: [] })
      .where(and(eq(hooks.id, id), isNull(hooks.revokedAt)))
      .returning({ id: hooks.id })
    if (revoked.length === 0) return false
    await insertAudit({ orm: tx }, audit)
    return true
  })
}

/** Records that these hooks were used now. */
export async function touchHooks(db: Database, ids: readonly string[]): Promise<void> {
  await db.orm
    .update(hooks)
    .set({ lastUsedAt: new Date() })
    .where(inArray(hooks.id, [...ids]))
}
