import { NOTIFICATION_TYPES, type NotificationType } from '@tidings/shared/status-event'
import { EVERY_CATEGORY, type SuppressionReason } from '@tidings/shared/suppression'
import { and, desc, eq, gt, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { v7 as uuidv7 } from 'uuid'
import type { Database, Handle } from '../database.ts'
import { forgetFailures } from '../events/failed-deliveries.ts'
import { type AuditRecord, insertAudit } from '../operators/audit.ts'
import { suppressions } from '../schema/suppressions.ts'

/** A suppression as the API shows it, with dates. */
export interface Suppression {
  id: string
  channel: NotificationType
  /** 64 hex digits. */
  digest: string
  /** Null: every message. */
  category: string | null
  reason: SuppressionReason
  origin: string
  event_id: string | null
  note: string | null
  since: Date
  until: Date | null
}
export type NewSuppression = Omit<Suppression, 'id'>

const s = suppressions
const excluded = (column: string) => sql.raw(`excluded.${column}`)
const IS_ACTIVE = or(isNull(s.until), gt(s.until, sql`now()`)) as SQL

const keyOf = ({ channel, digest, category, reason }: NewSuppression) =>
  `${channel} ${digest} ${category ?? EVERY_CATEGORY} ${reason}`

const endOf = ({ until }: { until: Date | null }) => until?.getTime() ?? Number.POSITIVE_INFINITY

/** The one that ends last of each channel, recipient, category and reason. In a fixed order, which prevents deadlocks. */
function distinct(added: readonly NewSuppression[]): NewSuppression[] {
  const byKey = new Map<string, NewSuppression>()
  for (const each of added) {
    const other = byKey.get(keyOf(each))
    if (other === undefined || endOf(each) > endOf(other)) byKey.set(keyOf(each), each)
  }
  return [...byKey].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each)
}

/**
 * Adds suppressions, or makes those that are there last longer. One that lasts as long already stays as it is, so
 * adding again is harmless.
 *
 * @returns how many were added or made longer.
 */
export async function addSuppressions(db: Handle, added: readonly NewSuppression[]): Promise<number> {
  const rows = distinct(added).map(({ digest, category, event_id, ...rest }) => ({
    ...rest,
    id: uuidv7(),
    recipientDigest: Buffer.from(digest, 'hex'),
    category: category ?? EVERY_CATEGORY,
    eventId: event_id,
  }))
  if (rows.length === 0) return 0
  const changed = await db.orm
    .insert(s)
    .values(rows)
    .onConflictDoUpdate({
      target: [s.channel, s.recipientDigest, s.category, s.reason],
      set: {
        origin: excluded('origin'),
        eventId: excluded('event_id'),
        note: sql`coalesce(${excluded('note')}, ${s.note})`,
        since: sql`CASE WHEN ${IS_ACTIVE} THEN least(${s.since}, ${excluded('since')}) ELSE ${excluded('since')} END`,
        until: excluded('until'),
      },
      setWhere: sql`${s.until} < coalesce(${excluded('until')}, 'infinity')`,
    })
    .returning({ id: s.id })
  return changed.length
}

/** Adds suppressions with their audit row, both or neither. @returns them as they are stored, and how many changed. */
export async function addAuditedSuppressions(
  db: Database,
  selection: Pick<SuppressionSelection, 'channel' | 'digests'> & Pick<NewSuppression, 'category' | 'reason'>,
  more: Pick<NewSuppression, 'origin' | 'note' | 'since' | 'until'>,
  audit: Pick<AuditRecord, 'actor' | 'action'>,
): Promise<{ suppressions: Suppression[]; changed: number }> {
  const { channel, digests, category, reason } = selection
  const added = digests.map((digest) => ({ channel, digest, category, reason, event_id: null, ...more }))
  return db.orm.transaction(async (tx) => {
    const changed = await addSuppressions({ orm: tx }, added)
    const rows = await tx.select().from(s).where(isSelected(selection))
    await insertAudit(
      { orm: tx },
      {
        ...audit,
        selector: { ...selection, until: more.until },
        matched: rows.length,
        changed,
        result: 'added',
      },
    )
    return { suppressions: rows.map(toSuppression), changed }
  })
}

/** Recipients; their suppressions of every category and reason unless one is named. */
export interface SuppressionSelection {
  channel: NotificationType
  digests: readonly string[]
  category?: string | null | undefined
  reason?: SuppressionReason | undefined
}

const isSelected = ({ channel, digests, category, reason }: SuppressionSelection) =>
  and(
    eq(s.channel, channel),
    inArray(
      s.recipientDigest,
      digests.map((digest) => Buffer.from(digest, 'hex')),
    ),
    category === undefined ? undefined : eq(s.category, category ?? EVERY_CATEGORY),
    reason && eq(s.reason, reason),
  )

export type LiftResult =
  | { outcome: 'lifted'; suppressions: Suppression[] }
  | { outcome: 'absent' }
  /** One of them is a complaint, and there is no note that says why. Nothing is lifted. */
  | { outcome: 'note_required' }

/**
 * Lifts the suppressions of recipients, with their audit row. The failures that led to a bounce no longer count: otherwise
 * the next one would bring it back.
 *
 * @param note why; needed for a complaint.
 */
export async function liftSuppressions(
  db: Database,
  selection: SuppressionSelection,
  note: string | undefined,
  audit: Pick<AuditRecord, 'actor' | 'action'>,
): Promise<LiftResult> {
  const result = await liftSelected(db, selection, note, audit)
  if (result.outcome === 'lifted' && result.suppressions.some(({ reason }) => reason === 'bounce'))
    await forgetFailures(db, selection.channel, selection.digests)
  return result
}

function liftSelected(
  db: Database,
  selection: SuppressionSelection,
  note: string | undefined,
  audit: Pick<AuditRecord, 'actor' | 'action'>,
): Promise<LiftResult> {
  return db.orm.transaction(async (tx) => {
    const selected = isSelected(selection)
    const found = await tx
      .select()
      .from(s)
      .where(selected)
      // The order of addSuppressions, which prevents deadlocks.
      .orderBy(s.recipientDigest, sql`${s.category} COLLATE "C"`, sql`${s.reason} COLLATE "C"`)
      .for('update')
    if (found.length === 0) return { outcome: 'absent' }
    if (note === undefined && found.some((row) => row.reason === 'complaint'))
      return { outcome: 'note_required' }
    // These alone: one that was added meanwhile may be a complaint, and is not locked in order.
    const ids = found.map(({ id }) => id)
    const lifted = (await tx.delete(s).where(inArray(s.id, ids)).returning()).map(toSuppression)
    await insertAudit(
      { orm: tx },
      {
        ...audit,
        selector: { ...selection, reasons: [...new Set(lifted.map((each) => each.reason))], note },
        matched: lifted.length,
        changed: lifted.length,
        result: 'lifted',
      },
    )
    return { outcome: 'lifted', suppressions: lifted }
  })
}

export interface SuppressionFilter {
  channel?: NotificationType | undefined
  reason?: SuppressionReason | undefined
  category?: string | undefined
  digest?: string | undefined
}

/** The last suppression of a page. The next page starts after it. */
interface SuppressionPosition {
  since: Date
  id: string
}

/** Lists the suppressions in force, newest first. */
export async function listSuppressions(
  db: Database,
  { channel, reason, category, digest }: SuppressionFilter,
  { limit, after }: { limit: number; after?: SuppressionPosition | undefined },
): Promise<Suppression[]> {
  const rows = await db.orm
    .select()
    .from(s)
    .where(
      and(
        IS_ACTIVE,
        // Named in any case: the unique index, which finds a digest, begins with it.
        channel ? eq(s.channel, channel) : inArray(s.channel, NOTIFICATION_TYPES),
        reason && eq(s.reason, reason),
        category === undefined ? undefined : eq(s.category, category),
        digest === undefined ? undefined : eq(s.recipientDigest, Buffer.from(digest, 'hex')),
        after && or(lt(s.since, after.since), and(eq(s.since, after.since), lt(s.id, after.id))),
      ),
    )
    .orderBy(desc(s.since), desc(s.id))
    .limit(limit)
  return rows.map(toSuppression)
}

/** Finds all suppressions of recipients, also those that ended, newest first. */
export async function findSuppressionsOf(
  db: Database,
  recipients: readonly Pick<SuppressionSelection, 'channel' | 'digests'>[],
): Promise<Suppression[]> {
  const rows = await db.orm
    .select()
    .from(s)
    .where(or(...recipients.map(isSelected)))
    .orderBy(desc(s.since), desc(s.id))
  return rows.map(toSuppression)
}

/** Finds the suppressions whose note mentions an erased address. `mentions` is an SQL condition on `note`. @returns ids */
export async function findSuppressionNotes(db: Handle, mentions: SQL): Promise<string[]> {
  const rows = await db.orm
    .select({ id: s.id })
    .from(s)
    .where(and(sql`${s.note} IS NOT NULL`, mentions))
  return rows.map(({ id }) => id)
}

/** Removes the notes of these suppressions. */
export async function removeSuppressionNotes(db: Handle, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db.orm
    .update(s)
    .set({ note: null })
    .where(inArray(s.id, [...ids]))
}

function toSuppression({
  recipientDigest,
  category,
  eventId,
  ...rest
}: typeof suppressions.$inferSelect): Suppression {
  return {
    ...rest,
    digest: recipientDigest.toString('hex'),
    category: category === EVERY_CATEGORY ? null : category,
    event_id: eventId,
  }
}
