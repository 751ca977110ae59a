import { randomUUID } from 'node:crypto'
import { isTrusted } from '@tidings/shared/feedback'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import type { StatusReport } from '@tidings/shared/status-event'
import { makeEvent, makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { resolveEvents } from './resolve-events.ts'
import { storeStatusEvents } from './status-events.ts'

describe('finding the notifications of events that name their message only', () => {
  const releaser = useReleaser()
  const user = randomUUID()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
    await db.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')`,
      [user],
    )
  })

  const resolve = (...events: Parameters<typeof makeUnresolvedEvent>[0][]) =>
    resolveEvents(
      db,
      events.map((fields) => makeUnresolvedEvent(fields)),
      DEFAULT_RECIPIENT_KEY,
    )
  /** Stores what the sender reported about a new message. Returns its id at the provider. */
  async function storeSent(fields: Partial<StatusReport> = {}, type: 'email' | 'push' = 'email') {
    const provider_message_id = fields.provider_message_id ?? `m-${randomUUID()}`
    const event = makeEvent({ status: 'sent', provider: 'ses', ...fields, provider_message_id }, type)
    expect(await storeStatusEvents(db, [event])).toEqual(['stored'])
    return { provider_message_id, notification_id: event.notification_id }
  }

  it('takes the notification, and what the event lacks, from the first event of the message', async () => {
    const sent = await storeSent({ user_id: user, attempt: 3, category: 'receipts' })
    const message = { provider_message_id: sent.provider_message_id }
    const [bare, full, unknown] = await resolve(
      message,
      { ...message, user_id: randomUUID(), attempt: 4, category: 'news' },
      { provider_message_id: 'nobody sent it' },
    )
    expect(bare).toMatchObject({ ...sent, user_id: user, attempt: 3, category: 'receipts' })
    expect(full).toMatchObject({ ...sent, attempt: 4, category: 'news' })
    expect(full?.user_id).not.toBe(user)
    expect(unknown).toBeUndefined()
  })

  it('asks for the same provider and type, and for events of the last 35 days', async () => {
    const message = { provider_message_id: (await storeSent()).provider_message_id }
    const other = { provider_message_id: (await storeSent({}, 'push')).provider_message_id }
    const old = { provider_message_id: (await storeSent()).provider_message_id }
    await db.pool.query(
      `UPDATE notification_status SET received_at = now() - interval '36 days' WHERE provider_message_id = $1`,
      [old.provider_message_id],
    )
    const found = await resolve(message, { ...message, provider: 'sendgrid' }, other, old)
    expect(found.map((event) => event !== undefined)).toEqual([true, false, false, false])
  })

  it('prefers the event of the same recipient, then the first one', async () => {
    const message = { provider_message_id: `m-${randomUUID()}` }
    const first = await storeSent({ ...message, recipient: 'a@example.com' })
    const second = await storeSent({ ...message, recipient: 'b@example.com' })
    const found = await resolve(
      { ...message, recipient: 'b@example.com' },
      { ...message, recipient: 'c@example.com' },
      message,
    )
    expect(found).toMatchObject([second, first, first])
  })

  it('keeps the identity, so that the event is stored once', async () => {
    const { provider_message_id, notification_id } = await storeSent()
    const unresolved = makeUnresolvedEvent({ provider_message_id })
    const again = { ...unresolved, received_at: new Date(Date.now() + 1_000).toISOString() }
    const found = await resolveEvents(db, [unresolved, again], DEFAULT_RECIPIENT_KEY)
    const events = found.flatMap((event) => event ?? [])
    expect(events).toMatchObject([
      { id: unresolved.id, content_hash: unresolved.content_hash, notification_id },
      { id: unresolved.id, content_hash: unresolved.content_hash, notification_id },
    ])
    expect(await storeStatusEvents(db, events)).toEqual(['stored', 'duplicate'])
    expect(await storeStatusEvents(db, events)).toEqual(['duplicate', 'duplicate'])
  })

  it('signs the feedback of a trusted receiver again, and drops any other', async () => {
    const { provider_message_id } = await storeSent({ user_id: user })
    const fields = { provider_message_id, status: 'complained' } as const
    const trusted = makeUnresolvedEvent(fields)
    const forged = { ...makeUnresolvedEvent(fields), feedback: trusted.feedback }
    const [signed, dropped] = await resolveEvents(db, [trusted, forged], DEFAULT_RECIPIENT_KEY)
    expect(signed && isTrusted(DEFAULT_RECIPIENT_KEY, signed)).toBe(true)
    expect(signed?.feedback).not.toBe(trusted.feedback)
    expect(dropped).not.toHaveProperty('feedback')
  })
})
