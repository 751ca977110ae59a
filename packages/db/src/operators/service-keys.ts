import type { Scope } from '@tidings/shared/service-key'
import { displayPrefix, generateServiceKey, hashSecret } from '@tidings/shared/service-key'
import { and, asc, count, eq, inArray, isNull, sql } from 'drizzle-orm'
import { v7 as uuidv7 } from 'uuid'
import type { Database } from '../database.ts'
import { serviceKeys } from '../schema/service-keys.ts'
import { type AuditRecord, insertAudit } from './audit.ts'

/** The old key and the new one of a rotation. */
const MAX_LIVE_KEYS_PER_NAME = 2

export interface ServiceKey {
  id: string
  name: string
  prefix: string
  scopes: Scope[]
  /** Null: the key may report any number of events. */
  eventsPerSecond: number | null
  /** Null: as many as in a second. */
  burst: number | null
  createdAt: Date
  lastUsedAt: Date | null
  revokedAt: Date | null
}

type CreateServiceKeyResult =
  | { outcome: 'created'; id: string; key: string }
  /** The name has MAX_LIVE_KEYS_PER_NAME live keys; revoke one first. */
  | { outcome: 'too_many_live_keys' }

export interface CreateServiceKeyOptions {
  /** Events that the key may report. Default: any number. */
  eventsPerSecond?: number | undefined
  /** Events that it may report at once after a pause. Default: as many as in a second. */
  burst?: number | undefined
  /**
   * Makes the audit row for the key of this id. Both are written in one transaction: nobody would have the text of a
   * key whose audit row failed.
   */
  audit?(id: string): AuditRecord
}

/** Creates a key. The returned text is the only copy: the database stores its digest. */
export async function createServiceKey(
  db: Database,
  name: string,
  scopes: readonly Scope[],
  { eventsPerSecond, burst, audit }: CreateServiceKeyOptions = {},
): Promise<CreateServiceKeyResult> {
  return db.orm.transaction(async (tx) => {
    // Two creators of one name take turns. Otherwise both would count before either inserts.
    await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtext(${`service_keys:${name}`}))`)
    const [live] = await tx
      .select({ keys: count() })
      .from(serviceKeys)
      .where(and(eq(serviceKeys.name, name), isNull(serviceKeys.revokedAt)))
    if ((live?.keys ?? 0) >= MAX_LIVE_KEYS_PER_NAME) return { outcome: 'too_many_live_keys' }
    const key = generateServiceKey()
    const id = uuidv7()
    await tx.insert(serviceKeys).values({
      id,
      name,
      keyHash: hashSecret(key),
      prefix: displayPrefix(key),
      scopes: [...scopes],
      eventsPerSecond,
      burst,
    })
    if (audit) await insertAudit({ orm: tx }, audit(id))
    return { outcome: 'created', id, key }
  })
}

/** Finds the live key with this digest. */
export async function findServiceKey(db: Database, keyHash: Buffer): Promise<ServiceKey | undefined> {
  const [row] = await db.orm
    .select()
    .from(serviceKeys)
    .where(and(eq(serviceKeys.keyHash, keyHash), isNull(serviceKeys.revokedAt)))
  return row && toServiceKey(row)
}

/** Lists every key, live or revoked, oldest first. */
export async function listServiceKeys(db: Database): Promise<ServiceKey[]> {
  const rows = await db.orm.select().from(serviceKeys).orderBy(asc(serviceKeys.createdAt))
  return rows.map(toServiceKey)
}

/**
 * Revokes a key. Returns false when there is no live key with this id.
 *
 * @param audit the audit row, written in the same transaction.
 */
export async function revokeServiceKey(db: Database, id: string, audit?: AuditRecord): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const revoked = await tx
      .update(serviceKeys)
      .set({ revokedAt: new Date() })
      .where(and(eq(serviceKeys.id, id), isNull(serviceKeys.revokedAt)))
      .returning({ id: serviceKeys.id })
    if (revoked.length === 0) return false
    if (audit) await insertAudit({ orm: tx }, audit)
    return true
  })
}

/** Records that these keys were used now. */
export async function touchServiceKeys(db: Database, ids: readonly string[]): Promise<void> {
  await db.orm
    .update(serviceKeys)
    .set({ lastUsedAt: new Date() })
    .where(inArray(serviceKeys.id, [...ids]))
}

function toServiceKey(row: typeof serviceKeys.$inferSelect): ServiceKey {
  const { keyHash: _digest, scopes, ...rest } = row
  return { ...rest, scopes: scopes as Scope[] }
}
