import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { eq } from 'drizzle-orm'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { storeStatusEvents } from '../events/status-events.ts'
import { outboundMessages } from '../schema/outbound-messages.ts'
import { users } from '../schema/users.ts'
import { setPassword } from './change-password.ts'
import { eraseUser } from './erase-user.ts'
import { mintToken } from './one-time-tokens.ts'
import { addMessage } from './outbound-messages.ts'
import { replaceUnverifiedUser } from './replace-unverified-user.ts'

const USER = '00000000-0000-4000-8000-000000000001'

describe('a user with a pending message', () => {
  const releaser = useReleaser()
  let database: Database
  beforeEach(async () => {
    database = (await createTestDatabase(releaser)).database
    await database.pool.query(
      "INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!old')",
      [USER],
    )
  })
  const countWaiting = async () => {
    const waiting = await database.pool.query(
      "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return waiting.rowCount
  }

  it('can be replaced by the owner of the address while a relay claims the message', async () => {
    await addMessage(database, { kind: 'email_verification', userId: USER, to: 'a@example.com' })
    const replaced = await database.orm.transaction(async (relay) => {
      await relay.update(outboundMessages).set({ claimedUntil: new Date() })
      const replacing = replaceUnverifiedUser(database, USER, 'a@example.com')
      await waitFor('the erasure to wait for the relay', async () => (await countWaiting()) === 1)
      const expiresAt = new Date(Date.now() + 60_000)
      await mintToken(
        { orm: relay },
        { userId: USER, purpose: 'email_verification', email: 'a@example.com', expiresAt },
      )
      return { replacing }
    })
    expect(await replaced.replacing).toBe(true)
  })

  it('can be erased while the password is being changed', async () => {
    await addMessage(database, { kind: 'email_change', userId: USER, to: 'new@example.com' })
    const erased = await database.orm.transaction(async (change) => {
      await change.update(users).set({ name: 'A' }).where(eq(users.id, USER))
      const erasing = eraseUser(database, USER)
      await waitFor('the erasure to wait for the change', async () => (await countWaiting()) === 1)
      await setPassword({ orm: change }, { userId: USER, hash: '!new' })
      return { erasing }
    })
    expect(await erased.erasing).toEqual({ endedSessionIds: [] })
  })

  it('holds up no events of the user while the erasure reads the notes of suppressions', async () => {
    const store = () => storeStatusEvents(database, [makeEvent({ user_id: USER })])
    const other = await database.pool.connect()
    await other.query('BEGIN; LOCK TABLE suppressions')
    const erasing = eraseUser(database, USER)
    await waitFor('the erasure to wait for the suppressions', async () => (await countWaiting()) === 1)
    expect(await store()).toEqual(['stored'])
    await other.query('COMMIT').finally(() => other.release())
    expect(await erasing).toEqual({ endedSessionIds: [] })
    expect(await store()).toEqual(['unknown_user'])
  })
})
