import { digestRecipient } from '@tidings/shared/recipient'
import type { NotificationType } from '@tidings/shared/status-event'
import { and, asc, eq, gt, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../database.ts'
import { type HistoryPosition, listUserEvents } from '../events/notifications.ts'
import { devices } from '../schema/devices.ts'
import { eventOutbox } from '../schema/event-outbox.ts'
import { oneTimeTokens } from '../schema/one-time-tokens.ts'
import { operatorAudit } from '../schema/operator-audit.ts'
import { outboundMessages } from '../schema/outbound-messages.ts'
import { sessions } from '../schema/sessions.ts'
import { findSuppressionsOf } from '../suppressions/suppressions.ts'
import { preferencesOf, type UserRow } from './users.ts'

/** What an export holds, in this order. The dead letters are in the queue's store; `end` is the last line. */
export const EXPORT_TYPES = [
  'account',
  'preferences',
  'device',
  'suppression',
  'session',
  'one_time_token',
  'outbound_message',
  'event',
  'waiting_event',
  'dead_letter',
  'audit_entry',
] as const
export type ExportType = (typeof EXPORT_TYPES)[number]

/** One thing that is held about a user. Names are as in JSON, times become ISO 8601. */
export interface ExportRecord {
  type: ExportType
  data: Readonly<Record<string, unknown>>
}

/** Rows read at once. With the largest metadata they are some 2 MB. */
const PAGE_ROWS = 500

/**
 * Reads everything that the database holds about a user, page by page. Each page is a query of its own: a slow reader
 * holds no connection and no transaction. The newest events come first, so events that arrive meanwhile do not prolong
 * the export. It leaves out every secret and digest.
 *
 * @param recipientKey see digestRecipient.
 *
 * A new table that holds something about users needs a section here, and a type above.
 */
export async function* exportFromDatabase(
  db: Database,
  user: UserRow,
  recipientKey: string,
): AsyncGenerator<ExportRecord[]> {
  yield [
    { type: 'account', data: toAccount(user) },
    { type: 'preferences', data: preferencesOf(user) },
  ]
  yield await exportDevices(db, user.id)
  yield await exportSuppressions(db, user, recipientKey)
  yield await exportSessions(db, user.id)
  yield await exportTokens(db, user.id)
  yield* pages((after) => exportMessages(db, user, after))
  yield* exportEvents(db, user.id)
  yield* pages((after) => exportOutbox(db, user.id, after))
  yield* pages((after) => exportAudit(db, user.id, after))
}

/** Reads pages until one is not full. Each row's `id` is the position of the next page. */
async function* pages(
  read: (after: string | undefined) => Promise<ExportRecord[]>,
): AsyncGenerator<ExportRecord[]> {
  let after: string | undefined
  for (;;) {
    const page = await read(after)
    if (page.length > 0) yield page
    if (page.length < PAGE_ROWS) return
    after = String(page.at(-1)?.data.id)
  }
}

const isAfter = (id: PgColumn, after: string | undefined): SQL | undefined =>
  after === undefined ? undefined : gt(id, after)

const toAccount = (user: UserRow) => ({
  id: user.id,
  name: user.name,
  email: user.email,
  email_verified_at: user.emailVerifiedAt,
  is_active: user.isActive,
  last_login_at: user.lastLoginAt,
  legacy_tokens_ended_at: user.legacyTokensEndedAt,
  created_at: user.createdAt,
  updated_at: user.updatedAt,
})

async function exportDevices({ orm }: Database, userId: string): Promise<ExportRecord[]> {
  const rows = await orm
    .select({
      device_id: devices.deviceId,
      platform: devices.platform,
      token: devices.token,
      app: devices.app,
      environment: devices.environment,
      created_at: devices.createdAt,
      last_seen_at: devices.lastSeenAt,
    })
    .from(devices)
    .where(eq(devices.userId, userId))
    .orderBy(asc(devices.deviceId))
  return rows.map((data) => ({ type: 'device', data }))
}

/** Why the user's address and tokens are not sent to. Nothing says who added a suppression: that may be an operator. */
async function exportSuppressions(
  db: Database,
  { email, devices }: UserRow,
  recipientKey: string,
): Promise<ExportRecord[]> {
  const digest = (channel: NotificationType) => (recipient: string) =>
    digestRecipient(recipientKey, channel, recipient)
  const found = await findSuppressionsOf(db, [
    { channel: 'email', digests: [email].map(digest('email')) },
    { channel: 'push', digests: devices.map(({ token }) => token).map(digest('push')) },
  ])
  return found.map(({ digest: _digest, origin: _origin, ...data }) => ({ type: 'suppression', data }))
}

/** Live sessions, and ended ones until they expire. A login bounds their number. */
async function exportSessions({ orm }: Database, userId: string): Promise<ExportRecord[]> {
  const rows = await orm
    .select({
      id: sessions.id,
      user_agent: sessions.userAgent,
      ip: sessions.ip,
      created_at: sessions.createdAt,
      last_used_at: sessions.lastUsedAt,
      expires_at: sessions.expiresAt,
      revoked_at: sessions.revokedAt,
    })
    .from(sessions)
    .where(eq(sessions.userId, userId))
    .orderBy(asc(sessions.id))
  return rows.map((data) => ({ type: 'session', data }))
}

async function exportTokens({ orm }: Database, userId: string): Promise<ExportRecord[]> {
  const rows = await orm
    .select({
      purpose: oneTimeTokens.purpose,
      email: oneTimeTokens.email,
      created_at: oneTimeTokens.createdAt,
      expires_at: oneTimeTokens.expiresAt,
    })
    .from(oneTimeTokens)
    .where(eq(oneTimeTokens.userId, userId))
    .orderBy(asc(oneTimeTokens.createdAt))
  return rows.map((data) => ({ type: 'one_time_token', data }))
}

async function exportMessages(
  { orm }: Database,
  user: UserRow,
  after: string | undefined,
): Promise<ExportRecord[]> {
  const m = outboundMessages
  // The relay has not looked up yet whose address this is.
  const isUnclaimed = and(
    isNull(m.userId),
    eq(m.state, 'pending'),
    eq(sql`lower(${m.to})`, sql`lower(${user.email})`),
  )
  const rows = await orm
    .select({
      id: m.id,
      kind: m.kind,
      to: m.to,
      locale: m.locale,
      variables: m.variables,
      state: m.state,
      created_at: m.createdAt,
      expires_at: m.expiresAt,
    })
    .from(m)
    .where(and(or(eq(m.userId, user.id), isUnclaimed), isAfter(m.id, after)))
    .orderBy(asc(m.id))
    .limit(PAGE_ROWS)
  return rows.map((data) => ({ type: 'outbound_message', data }))
}

async function* exportEvents(db: Database, userId: string): AsyncGenerator<ExportRecord[]> {
  let after: HistoryPosition | undefined
  for (;;) {
    const events = await listUserEvents(db, userId, {}, { limit: PAGE_ROWS, after })
    if (events.length > 0) yield events.map((data) => ({ type: 'event', data: { ...data } }))
    const last = events.at(-1)
    if (last === undefined || events.length < PAGE_ROWS) return
    after = { timestamp: new Date(last.timestamp), id: last.id }
  }
}

/** Accepted events that wait for the queue. Normally there are none. */
async function exportOutbox(
  { orm }: Database,
  userId: string,
  after: string | undefined,
): Promise<ExportRecord[]> {
  const o = eventOutbox
  const rows = await orm
    .select({ id: o.id, event: o.event, created_at: o.createdAt })
    .from(o)
    .where(and(sql`${o.event} ->> 'user_id' = ${userId}`, isAfter(o.id, after)))
    .orderBy(asc(o.id))
    .limit(PAGE_ROWS)
  return rows.map((data) => ({ type: 'waiting_event', data }))
}

/** What operators did to the account. Their names and the rest of their selection are not the user's data. */
async function exportAudit(
  { orm }: Database,
  userId: string,
  after: string | undefined,
): Promise<ExportRecord[]> {
  const a = operatorAudit
  const rows = await orm
    .select({ id: a.id, at: a.at, action: a.action, result: a.result })
    .from(a)
    .where(and(sql`strpos(${a.selector}::text, ${userId}) > 0`, isAfter(a.id, after)))
    .orderBy(asc(a.id))
    .limit(PAGE_ROWS)
  return rows.map((data) => ({ type: 'audit_entry', data }))
}
