import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { findErasedUsers, noteErasure } from './erased-users.ts'
import { eraseUser } from './user-erasure.ts'

const OWNER = '00000000-0000-4000-8000-000000000001'
const OTHER = '00000000-0000-4000-8000-000000000002'

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

  it('clears events that wait for the queue, and keeps them', async () => {
    const { pool } = database.database
    const events = [
      { user_id: OWNER, status: 'failed', error: 'no such box', metadata: { to: 'x' } },
      { status: 'bounced', error: { message: 'own@example.com is unknown' } },
      { user_id: OTHER, status: 'failed', error: 'another' },
      { user_id: OWNER, status: 'delivered' },
    ]
    for (const event of events) {
      await pool.query("INSERT INTO parked_events (id, event, why) VALUES (gen_random_uuid(), $1, 'test')", [
        event,
      ])
    }
    expect(await eraseUser(database.database, OWNER)).toEqual({ endedSessionIds: [] })
    const { rows } = await pool.query('SELECT event FROM parked_events')
    expect(rows.map((row) => row.event)).toEqual(
      expect.arrayContaining([
        { status: 'failed', error: '[erased]' },
        { status: 'bounced', error: '[erased]' },
        events[2],
        { status: 'delivered' },
      ]),
    )
    expect(rows).toHaveLength(4)
  })

  it('forgets of an erasure that failed, as far as the user lives on', async () => {
    const { pool } = database.database
    await noteErasure(pool, OTHER)
    expect(await findErasedUsers(pool, [OTHER, OWNER, 'no id'])).toEqual(new Set([OTHER]))
    await pool.query("UPDATE erased_users SET erased_at = now() - interval '16 minutes'")
    expect(await findErasedUsers(pool, [OTHER])).toEqual(new Set())
    // Asked for again, and done.
    await noteErasure(pool, OTHER)
    expect(await findErasedUsers(pool, [OTHER])).toEqual(new Set([OTHER]))
    await noteErasure(pool, OWNER)
    await pool.query("UPDATE erased_users SET erased_at = now() - interval '16 minutes'")
    expect(await findErasedUsers(pool, [OTHER, OWNER])).toEqual(new Set([OWNER]))
  })

  it('says when there is nobody to erase, and may be repeated', async () => {
    expect(await eraseUser(database.database, OWNER)).toBeUndefined()
    const { rows } = await database.database.pool.query('SELECT id FROM users')
    expect(rows).toEqual([{ id: OTHER }])
  })
})
