import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { changePassword } from './change-password.ts'
import { type ClaimedMessage, claimMessages, markQueued } from './claim-messages.ts'
import { deleteOldMessages } from './delete-old-messages.ts'
import { eraseUser } from './erase-user.ts'
import { useToken } from './one-time-tokens.ts'
import { addMessage, addNotice } from './outbound-messages.ts'

const USER = '00000000-0000-4000-8000-000000000001'
const OTHER = '00000000-0000-4000-8000-000000000002'

const releaser = useReleaser()
let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase(releaser)
})
beforeEach(async () => {
  const { pool } = test.database
  await pool.query('DELETE FROM outbound_messages')
  await pool.query('DELETE FROM users')
  await pool.query(
    `INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!old'),
     ($2, 'b@example.com', 'B', '!old')`,
    [USER, OTHER],
  )
})

const requestReset = (to: string) =>
  addMessage(test.database, { kind: 'password_reset', userId: null, to, variables: {} })
const claim = () => claimMessages(test.database, 100)
const abandonClaims = () =>
  test.database.pool.query("UPDATE outbound_messages SET claimed_until = now() - interval '1 second'")

async function claimToken(): Promise<string> {
  const [message] = await claim()
  if (message?.token === undefined) throw new Error('There is no message with a token')
  return message.token
}

const resetWith = (token: string) => useToken(test.database, 'password_reset', token)

describe('outbound messages', () => {
  it('are claimed once, by one of several relays', async () => {
    await requestReset('a@example.com')
    const claims = await Promise.all([claim(), claim(), claim()])
    expect(claims.flat().map((message: ClaimedMessage) => message.userId)).toEqual([USER])
    expect(await claim()).toEqual([])
  })

  it('are claimed again when a relay was killed, and both links work until one is used', async () => {
    await requestReset('a@example.com')
    const first = await claimToken()
    await abandonClaims()
    const second = await claimToken()
    expect(await resetWith(second)).toEqual({ userId: USER, email: 'a@example.com' })
    expect(await resetWith(first)).toBeUndefined()
  })

  it('are not claimed again once they are queued', async () => {
    await requestReset('a@example.com')
    await markQueued(
      test.database,
      (await claim()).map(({ id }) => id),
    )
    await abandonClaims()
    expect(await claim()).toEqual([])
  })

  it('store no secret', async () => {
    await requestReset('a@example.com')
    const token = await claimToken()
    for (const table of ['outbound_messages', 'one_time_tokens']) {
      const { rows } = await test.database.pool.query(`SELECT t::text FROM ${table} t`)
      expect(JSON.stringify(rows)).not.toContain(token)
    }
  })

  it('drop a reset for an unknown address, and one within a minute of another', async () => {
    await requestReset('nobody@example.com')
    await requestReset('A@example.com')
    await requestReset('a@example.com')
    await requestReset('b@example.com')
    expect((await claim()).map(({ userId }) => userId)).toEqual([USER, OTHER])
    const { rows } = await test.database.pool.query('SELECT "to" FROM outbound_messages ORDER BY "to"')
    expect(rows).toEqual([{ to: 'a@example.com' }, { to: 'b@example.com' }])
  })

  it('go to the stored address, whatever was typed', async () => {
    await test.database.pool.query("UPDATE users SET email = 'kate@example.com' WHERE id = $1", [USER])
    // The Kelvin sign is k in lower case.
    await requestReset('\u212aATE@example.com')
    expect((await claim()).map(({ to }) => to)).toEqual(['kate@example.com'])
  })

  it('drop a change to an address that another user has', async () => {
    for (const to of ['B@example.com', 'free@example.com'])
      await addMessage(test.database, { kind: 'email_change', userId: USER, to })
    expect((await claim()).map(({ to }) => to)).toEqual(['free@example.com'])
  })

  it('expire', async () => {
    await requestReset('a@example.com')
    await test.database.pool.query("UPDATE outbound_messages SET expires_at = now() - interval '1 second'")
    expect(await claim()).toEqual([])
    const { rows } = await test.database.pool.query('SELECT state FROM outbound_messages')
    expect(rows).toEqual([{ state: 'expired' }])
  })

  it('notify of one kind once an hour', async () => {
    const notice = { kind: 'new_device', userId: USER, to: 'a@example.com' } as const
    await addNotice(test.database, notice)
    await addNotice(test.database, notice)
    await addNotice(test.database, { ...notice, userId: OTHER })
    await addNotice(test.database, { ...notice, kind: 'password_changed' })
    expect(await claim()).toHaveLength(3)
  })
})

describe('one-time tokens', () => {
  it('are used once, by one of several', async () => {
    await requestReset('a@example.com')
    const token = await claimToken()
    const uses = await Promise.all(Array.from({ length: 5 }, () => resetWith(token)))
    expect(uses.filter((grant) => grant !== undefined)).toHaveLength(1)
  })

  it('act for their purpose only, and not after they expired', async () => {
    await requestReset('a@example.com')
    const token = await claimToken()
    expect(await useToken(test.database, 'email_verification', token)).toBeUndefined()
    await test.database.pool.query("UPDATE one_time_tokens SET expires_at = now() - interval '1 second'")
    expect(await resetWith(token)).toBeUndefined()
  })

  it('end with the password, but for those that undo a change of the address', async () => {
    const { database } = test
    const to = 'a@example.com'
    await requestReset(to)
    await addMessage(database, { kind: 'email_changed', userId: USER, to })
    const claimed = await claim()
    await addMessage(database, { kind: 'email_change', userId: USER, to: 'new@example.com' })
    await changePassword(database, { userId: USER, from: '!old', hash: '!new' })
    const [reset, undo] = ['password_reset', 'email_changed'].map(
      (kind) => claimed.find((message) => message.kind === kind)?.token ?? '',
    ) as [string, string]
    expect(await resetWith(reset)).toBeUndefined()
    expect(await useToken(database, 'email_undo', undo)).toEqual({ userId: USER, email: to })
    expect((await claim()).map(({ kind }) => kind)).toEqual(['password_changed'])
  })
})

describe('the messages of a user who is erased', () => {
  it.each([USER, null])('are deleted after a relay that is claiming them (user_id %s)', async (userId) => {
    const { database } = test
    await addMessage(database, { kind: 'password_reset', userId, to: 'A@example.com' })
    await requestReset('b@example.com')
    const relay = await database.pool.connect()
    try {
      await relay.query('BEGIN')
      await relay.query('SELECT id FROM outbound_messages FOR UPDATE')
      const erasing = eraseUser(database, USER)
      await waitFor('the erasure to wait for the relay', async () => {
        const waiting = await database.pool.query(
          "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        return waiting.rowCount === 1
      })
      await relay.query('UPDATE outbound_messages SET user_id = $1 WHERE "to" ILIKE $2', [
        USER,
        'a@example.com',
      ])
      await relay.query(
        `INSERT INTO one_time_tokens (digest, user_id, purpose, email, expires_at)
         VALUES ('x', $1, 'password_reset', 'a@example.com', now() + interval '1 hour')`,
        [USER],
      )
      await relay.query('COMMIT')
      expect(await erasing).toEqual({ endedSessionIds: [] })
    } finally {
      relay.release()
    }
    const left = await database.pool.query(
      'SELECT "to" FROM outbound_messages UNION ALL SELECT email FROM one_time_tokens',
    )
    expect(left.rows).toEqual([{ to: 'b@example.com' }])
  })
})

describe('the deletion of old messages', () => {
  it('removes messages a week after they expired, and tokens when they expired', async () => {
    const { database } = test
    await requestReset('a@example.com')
    await requestReset('b@example.com')
    await claim()
    expect(await deleteOldMessages(database)).toEqual([])
    await database.pool.query(
      "UPDATE one_time_tokens SET expires_at = now() - interval '1 second' WHERE email = 'a@example.com'",
    )
    await database.pool.query(
      `UPDATE outbound_messages SET expires_at = now() - interval '169 hours' WHERE "to" = 'b@example.com'`,
    )
    expect(await deleteOldMessages(database)).toHaveLength(1)
    const left = await database.pool.query(
      'SELECT "to" FROM outbound_messages UNION ALL SELECT email FROM one_time_tokens ORDER BY 1',
    )
    expect(left.rows).toEqual([{ to: 'a@example.com' }, { to: 'b@example.com' }])
  })
})
