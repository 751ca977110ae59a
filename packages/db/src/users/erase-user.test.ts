import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { insertAudit } from '../operators/audit.ts'
import { addSuppressions } from '../suppressions/suppressions.ts'
import { eraseUser } from './erase-user.ts'
import { findErasedUsers, recordErasure } from './erased-users.ts'

const OWNER = '00000000-0000-4000-8000-000000000001'
const OTHER = '00000000-0000-4000-8000-000000000002'
const ANN = '00000000-0000-4000-8000-000000000003'
const DAN = 'dddddddd-0000-4000-8000-000000000004'

describe('erasing a user from the database', () => {
  const releaser = useReleaser()
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase(releaser)
    await database.database.pool.query(
      "INSERT INTO users (id, email, name, password) VALUES ($1, 'Own@example.com', 'A', '!'), ($2, 'b@example.com', 'B', '!')",
      [OWNER, OTHER],
    )
  })

  async function fillOutbox(events: readonly object[]) {
    await database.database.pool.query('TRUNCATE event_outbox')
    for (const [n, event] of events.entries()) {
      const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
      await database.database.pool.query(
        "INSERT INTO event_outbox (id, event, why) VALUES ($1, $2, 'test')",
        [id, event],
      )
    }
  }
  const readOutbox = async () =>
    (await database.database.pool.query('SELECT event FROM event_outbox ORDER BY id')).rows.map(
      (row) => row.event,
    )

  it("redacts the user's events in the outbox, and keeps the events", async () => {
    const events = [
      {
        ...{ user_id: OWNER, status: 'failed', error: 'no such box', metadata: { to: 'x' } },
        recipient_digest: 'ab'.repeat(32),
      },
      { status: 'bounced', error: { message: 'own@example.com is unknown' } },
      { user_id: OTHER, status: 'failed', error: 'another' },
      { user_id: OWNER, status: 'delivered' },
    ]
    await fillOutbox(events)
    expect(await eraseUser(database.database, OWNER)).toEqual({ endedSessionIds: [] })
    expect(await readOutbox()).toEqual([
      { status: 'failed', error: '[erased]' },
      { status: 'bounced', error: '[erased]' },
      events[2],
      { status: 'delivered' },
    ])
  })

  it('redacts unreadable items in the outbox that mention the user', async () => {
    const { pool } = database.database
    await pool.query("INSERT INTO users (id, email, name, password) VALUES ($1, 'd@example.com', 'D', '!')", [
      DAN,
    ])
    const item = { unreadable: 'status: unknown', provider: 'ses', source: 'hook' }
    await fillOutbox([
      { ...item, payload: { user: DAN.toUpperCase() } },
      { ...item, payload: '{"to":"d@example.com"}' },
      { ...item, payload: { to: 'e@example.com' } },
    ])
    await eraseUser(database.database, DAN)
    expect(await readOutbox()).toEqual([item, item, { ...item, payload: { to: 'e@example.com' } }])
  })

  it("removes mentions of the address from other users' events, and keeps their user id", async () => {
    const { pool } = database.database
    await pool.query(
      "INSERT INTO users (id, email, name, password) VALUES ($1, 'ann@example.com', 'A', '!')",
      [ANN],
    )
    const named = { to: ['Ann@example.com'] }
    const events = [
      { user_id: OTHER, status: 'failed', error: 'no box ann@example.com', metadata: { a: 1 } },
      { user_id: OTHER, status: 'failed', error: 'no such box', metadata: named },
      { user_id: OTHER, status: 'failed', error: 'mailbox joann@example.com full', metadata: { a: 1 } },
      { status: 'failed', error: 'mailbox joann@example.com full', metadata: { a: 1 } },
      { status: 'failed', error: 'box ann@example.com.au\nand jo.ann@example.com' },
      { status: 'failed', error: 'no box\nann@example.com' },
    ]
    await fillOutbox(events)
    await pool.query(
      `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status,
         notification_id, source, error, metadata)
       VALUES (gen_random_uuid(), $1, now(), now(), 'email', 'failed', 'n', 'test', 'no box ann@example.com', $2)`,
      [OTHER, named],
    )
    await eraseUser(database.database, ANN)
    expect(await readOutbox()).toEqual([
      { user_id: OTHER, status: 'failed', error: '[erased]', metadata: { a: 1 } },
      { user_id: OTHER, status: 'failed', error: 'no such box' },
      ...events.slice(2, -1),
      { status: 'failed', error: '[erased]' },
    ])
    const { rows } = await pool.query('SELECT user_id FROM notification_status')
    expect(rows).toEqual([{ user_id: OTHER }])
  })

  it('removes the notes that mention the address, also from the audit table', async () => {
    const { pool } = database.database
    const noted = '00000000-0000-4000-8000-000000000005'
    await pool.query("INSERT INTO users (id, email, name, password) VALUES ($1, 'n@example.com', 'N', '!')", [
      noted,
    ])
    const notes = ['N@example.com asked by phone', 'asked by phone, as ann@example.com did']
    const recipients = notes.map((note, index) => ({ note, digest: String(index).repeat(64) }))
    for (const { note, digest } of recipients) {
      const recipient = { channel: 'email', category: null, reason: 'manual', since: new Date() } as const
      const more = { origin: 'ops', event_id: null, until: null }
      await addSuppressions(database.database, [{ ...recipient, ...more, note, digest }])
      await insertAudit(database.database, {
        ...{ actor: 'ops', action: 'suppressions.lift', matched: 1, changed: 1, result: 'lifted' },
        selector: { channel: 'email', digests: [digest], note },
      })
    }
    await eraseUser(database.database, noted)
    const { rows } = await pool.query('SELECT note FROM suppressions ORDER BY recipient_digest')
    expect(rows.map(({ note }) => note)).toEqual([null, notes[1]])
    const audit = await pool.query("SELECT selector FROM operator_audit ORDER BY selector -> 'digests'")
    expect(audit.rows.map(({ selector }) => selector)).toEqual([
      { channel: 'email', digests: [recipients[0]?.digest] },
      { channel: 'email', digests: [recipients[1]?.digest], note: notes[1] },
    ])
  })

  it('clears more events than one statement does, also many of one time', async () => {
    const { pool } = database.database
    const many = '00000000-0000-4000-8000-000000000004'
    await pool.query("INSERT INTO users (id, email, name, password) VALUES ($1, 'm@example.com', 'M', '!')", [
      many,
    ])
    await pool.query(
      `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status,
         notification_id, source, error)
       SELECT gen_random_uuid(), $1, at, at, 'email', 'failed', 'many', 'test', 'no box'
       FROM (SELECT now() - greatest(n, 5500) * interval '10 minutes' AS at FROM generate_series(1, 11000) n) AS event`,
      [many],
    )
    await eraseUser(database.database, many)
    const { rows } = await pool.query(
      "SELECT user_id, error, count(*)::int FROM notification_status WHERE notification_id = 'many' GROUP BY 1, 2",
    )
    expect(rows).toEqual([{ user_id: null, error: '[erased]', count: 11_000 }])
    await pool.query("DELETE FROM notification_status WHERE notification_id = 'many'")
  })

  it('does not report a user whose erasure failed', async () => {
    const { pool } = database.database
    await recordErasure(database.database, OTHER)
    expect(await findErasedUsers(database.database, [OTHER, OWNER, 'no id'])).toEqual(new Set([OTHER]))
    await pool.query("UPDATE erased_users SET erased_at = now() - interval '16 minutes'")
    expect(await findErasedUsers(database.database, [OTHER])).toEqual(new Set())
    // The erasure is repeated and succeeds.
    await recordErasure(database.database, OTHER)
    expect(await findErasedUsers(database.database, [OTHER])).toEqual(new Set([OTHER]))
    await recordErasure(database.database, OWNER)
    await pool.query("UPDATE erased_users SET erased_at = now() - interval '16 minutes'")
    expect(await findErasedUsers(database.database, [OTHER, OWNER])).toEqual(new Set([OWNER]))
  })

  it('returns undefined for an unknown user, and may be repeated', async () => {
    expect(await eraseUser(database.database, OWNER)).toBeUndefined()
    const { rows } = await database.database.pool.query('SELECT id FROM users')
    expect(rows).toEqual([{ id: OTHER }])
  })
})
