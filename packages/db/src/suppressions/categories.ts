import { asc, eq, inArray } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { type AuditRecord, insertAudit } from '../operators/audit.ts'
import { categories } from '../schema/categories.ts'

/** A kind of messages that a user can switch on and off. */
export interface Category {
  key: string
  /** Whether it is on for a user who did not choose. */
  default: boolean
  /** Sent whatever the user chose. */
  required: boolean
}

const columns = { key: categories.key, default: categories.default, required: categories.required }

export async function listCategories(db: Database): Promise<Category[]> {
  return db.orm.select(columns).from(categories).orderBy(asc(categories.key))
}

/** Finds the categories with these keys, in no particular order. */
export async function findCategories(db: Database, keys: readonly string[]): Promise<Category[]> {
  if (keys.length === 0) return []
  return db.orm
    .select(columns)
    .from(categories)
    .where(inArray(categories.key, [...keys]))
}

/** Adds a category or changes it, with its audit row. Users keep their choices. */
export async function setCategory(db: Database, category: Category, audit: AuditRecord): Promise<void> {
  await db.orm.transaction(async (tx) => {
    const change = { default: category.default, required: category.required, updatedAt: new Date() }
    await tx
      .insert(categories)
      .values({ key: category.key, ...change })
      .onConflictDoUpdate({ target: categories.key, set: change })
    await insertAudit({ orm: tx }, audit)
  })
}

/** Removes a category, with its audit row. The choices of users stay, and count if it comes back. @returns false when there is none. */
export async function removeCategory(db: Database, key: string, audit: AuditRecord): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const removed = await tx
      .delete(categories)
      .where(eq(categories.key, key))
      .returning({ key: categories.key })
    if (removed.length === 0) return false
    await insertAudit({ orm: tx }, audit)
    return true
  })
}
