import { randomUUID } from 'node:crypto'
import { identifyEvent } from '@tidings/shared/event-identity'
import { DEFAULT_RECIPIENT_KEY, digestRecipient } from '@tidings/shared/recipient'
import { type NotificationType, type StatusEvent, statusReportSchema } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { liftSuppressions, listSuppressions } from '../suppressions/suppressions.ts'
import { storeStatusEvents } from './status-events.ts'

const HOUR_MS = 3_600_000
const PERMANENT = { code: '550', class: 'permanent', message: 'no such mailbox' }
const SOFT = { code: '452', class: 'transient', message: 'mailbox full' }
const ago = (hours: number) => new Date(Date.now() - hours * HOUR_MS).toISOString()
const digestOf = (recipient: string, type: NotificationType = 'email') =>
  digestRecipient(DEFAULT_RECIPIENT_KEY, type, recipient)

let events = 0
/** A report of a trusted source, unless `feedback` is false. */
function makeEvent(more: Record<string, unknown>, type: NotificationType = 'email', feedback = true) {
  const report = statusReportSchema.parse({
    notification_id: `n-${events++}`,
    status: 'bounced',
    error: PERMANENT,
    ...more,
  })
  return identifyEvent(report, { type, source: 'hook', receivedAt: new Date(), feedback })
}

describe('consequences of stored events', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })
  beforeEach(() =>
    db.pool.query('TRUNCATE suppressions, failed_deliveries, notification_status, event_keys, status_counts'),
  )

  const store = (...batch: StatusEvent[]) => storeStatusEvents(db, batch)
  const list = async () =>
    (await listSuppressions(db, {}, { limit: 100 })).map(({ channel, digest, category, reason, until }) => ({
      channel,
      digest,
      category,
      reason,
      until,
    }))
  const suppressed = (recipient: string, reason: string, more = {}) => ({
    channel: 'email',
    digest: digestOf(recipient),
    category: null,
    reason,
    until: null,
    ...more,
  })
  const countRows = async () =>
    (await db.pool.query('SELECT count(*)::int AS n FROM notification_status')).rows[0].n
  const makeUser = async (email: string) => {
    const id = randomUUID()
    await db.pool.query(
      `INSERT INTO users (id, email, name, password, updated_at) VALUES ($1, $2, 'A', '!', now() - interval '1 hour')`,
      [id, email],
    )
    return id
  }

  it('a permanent bounce and a complaint suppress the recipient for good, with their origin', async () => {
    const bounce = makeEvent({ recipient: ' Ann@Example.com', timestamp: ago(1) })
    const complaint = makeEvent({ status: 'complained', error: undefined, recipient: 'bob@example.com' })
    // Beside others, which have none.
    const others = ['delivered', 'sent', 'opened'].map((status) =>
      makeEvent({ status, error: undefined, recipient: 'carol@example.com' }),
    )
    expect(await store(...others, bounce, complaint)).toEqual(Array(5).fill('stored'))
    expect(await list()).toEqual(
      expect.arrayContaining([
        suppressed('ann@example.com', 'bounce'),
        suppressed('bob@example.com', 'complaint'),
      ]),
    )
    const [found] = await listSuppressions(db, { reason: 'bounce' }, { limit: 2 })
    expect(found).toMatchObject({ origin: 'hook', event_id: bounce.id, since: new Date(bounce.timestamp) })
    expect(JSON.stringify(await listSuppressions(db, {}, { limit: 9 }))).not.toContain('example')
  })

  it('a bounce is permanent unless its class says otherwise', async () => {
    await store(
      makeEvent({ recipient: 'text@example.com', error: 'mailbox unavailable' }),
      makeEvent({ recipient: 'soft@example.com', error: SOFT }),
      makeEvent({ recipient: 'config@example.com', error: { class: 'config', message: 'wrong sender' } }),
      makeEvent({ recipient: 'failed@example.com', status: 'failed' }),
    )
    expect(await list()).toEqual([suppressed('text@example.com', 'bounce')])
  })

  it('unsubscribing suppresses the category of the event', async () => {
    const unsubscribed = { status: 'unsubscribed', error: undefined }
    await store(
      makeEvent({ ...unsubscribed, recipient: 'a@example.com', category: 'newsletter' }),
      makeEvent({ ...unsubscribed, recipient: 'b@example.com' }),
    )
    expect(await list()).toEqual(
      expect.arrayContaining([
        suppressed('a@example.com', 'unsubscribe', { category: 'newsletter' }),
        suppressed('b@example.com', 'unsubscribe'),
      ]),
    )
  })

  it('forged feedback, a repeat and an event that is not stored change nothing', async () => {
    const forged = makeEvent({ recipient: 'ann@example.com' }, 'email', false)
    expect(await store(forged)).toEqual(['stored'])
    expect(await store(makeEvent({ recipient: 'ann@example.com', user_id: randomUUID() }))).toEqual([
      'unknown_user',
    ])
    expect(await list()).toEqual([])

    // Whoever writes to the queue can copy a signature, and cannot make one.
    const { feedback } = makeEvent({ recipient: 'ann@example.com' })
    const copied = { ...makeEvent({ recipient: 'bob@example.com' }), feedback }
    const altered = { ...makeEvent({ recipient: 'ann@example.com' }), status: 'complained' as const }
    expect(await store(copied, altered)).toEqual(['stored', 'stored'])
    expect(await list()).toEqual([])

    const bounce = makeEvent({ recipient: 'ann@example.com', event_id: 'once' })
    await store(bounce, bounce)
    const audit = { actor: 'ops', action: 'suppressions.lift' }
    await liftSuppressions(db, { channel: 'email', digests: [digestOf('ann@example.com')] }, undefined, audit)
    expect(await store(bounce, { ...bounce, content_hash: '0'.repeat(32) })).toEqual([
      'duplicate',
      'conflict',
    ])
    expect(await list()).toEqual([])
  })

  it('three failed attempts in a row suppress for 72 hours after the last one', async () => {
    const fail = (hours: number, more = {}) =>
      makeEvent({
        recipient: 'ann@example.com',
        status: 'failed',
        error: SOFT,
        timestamp: ago(hours),
        ...more,
      })
    await store(fail(3), fail(2, { notification_id: 'same', attempt: 1, event_id: 'a' }))
    // The same attempt reported twice, and a mistake of the sender.
    await store(fail(2, { notification_id: 'same', attempt: 1, event_id: 'b', status: 'bounced' }))
    await store(fail(2, { error: { class: 'config', message: 'wrong key' } }))
    expect(await list()).toEqual([])
    const last = fail(1, { notification_id: 'same', attempt: 2 })
    await store(last)
    expect(await list()).toEqual([
      suppressed('ann@example.com', 'bounce', { until: new Date(Date.parse(last.timestamp) + 72 * HOUR_MS) }),
    ])
    // A permanent bounce makes it permanent.
    await store(makeEvent({ recipient: 'ann@example.com' }))
    expect(await list()).toEqual([suppressed('ann@example.com', 'bounce')])
  })

  it('a lifted suppression comes back after three new failures, not after one', async () => {
    const fail = () =>
      makeEvent({ recipient: 'ann@example.com', status: 'failed', error: SOFT, timestamp: ago(1) })
    await store(fail(), fail(), fail())
    const audit = { actor: 'ops', action: 'suppressions.lift' }
    const lift = { channel: 'email', digests: [digestOf('ann@example.com')] } as const
    expect(await liftSuppressions(db, lift, undefined, audit)).toMatchObject({ outcome: 'lifted' })
    await store(fail(), fail())
    expect(await list()).toEqual([])
    await store(fail())
    expect(await list()).toMatchObject([{ reason: 'bounce' }])
  })

  it('a delivery in between, an older failure and an untrusted one break the row', async () => {
    const fail = (recipient: string, hours: number, feedback = true) =>
      makeEvent({ recipient, status: 'failed', error: SOFT, timestamp: ago(hours) }, 'email', feedback)
    const deliver = makeEvent({
      recipient: 'a@example.com',
      status: 'delivered',
      error: undefined,
      timestamp: ago(2),
    })
    await store(fail('a@example.com', 4), fail('a@example.com', 3), deliver, fail('a@example.com', 1))
    await store(fail('b@example.com', 73), fail('b@example.com', 3), fail('b@example.com', 2))
    await store(fail('c@example.com', 4, false), fail('c@example.com', 3, false), fail('c@example.com', 2))
    expect(await list()).toEqual([])
    await store(fail('a@example.com', 0.5), fail('a@example.com', 0.1))
    expect(await list()).toMatchObject([{ digest: digestOf('a@example.com') }])
  })

  it('sees the failures that other writers store at the same time', async () => {
    const fail = () =>
      makeEvent({ recipient: 'ann@example.com', status: 'failed', error: SOFT, timestamp: ago(1) })
    await Promise.all([store(fail()), store(fail()), store(fail())])
    expect(await list()).toHaveLength(1)
  })

  it('an e-mail event without a recipient is about the address of its user, unless the user changed since', async () => {
    const id = await makeUser('Dora@example.com')
    await store(makeEvent({ user_id: id, timestamp: ago(2) }), makeEvent({ user_id: id }, 'push'))
    expect(await list()).toEqual([])
    await store(makeEvent({ user_id: id, timestamp: ago(0.5) }))
    expect(await list()).toEqual([suppressed('dora@example.com', 'bounce')])
  })

  it('keeps failures as long as they count', async () => {
    const fail = (hours: number) =>
      makeEvent({ recipient: 'ann@example.com', status: 'failed', error: SOFT, timestamp: ago(hours) })
    await store(fail(100), fail(80), fail(2))
    const { rows } = await db.pool.query('SELECT at FROM failed_deliveries')
    expect(rows).toHaveLength(1)
  })

  describe('for devices', () => {
    const token = 'token-of-dora'
    let user: string
    beforeAll(async () => {
      user = await makeUser('device@example.com')
    })
    beforeEach(async () => {
      await db.pool.query('TRUNCATE devices')
      for (const [device, value] of Object.entries({ phone: token, tablet: 'another' }))
        await db.pool.query(
          `INSERT INTO devices (user_id, device_id, token, token_digest, last_seen_at)
           VALUES ($1, $2, $3, sha256(convert_to($3, 'UTF8')), now() - interval '1 hour')`,
          [user, device, value],
        )
    })
    const invalid = async () =>
      (await db.pool.query('SELECT device_id, invalid_since FROM devices WHERE invalid_since IS NOT NULL'))
        .rows
    const unregistered = (more: object) =>
      makeEvent(
        { recipient: token, user_id: user, error: { code: 'UNREGISTERED', message: 'gone' }, ...more },
        'push',
      )

    it.each([
      { code: 'UNREGISTERED', message: 'Requested entity was not found.' },
      { code: 'registration-token-not-registered', message: 'x' },
      { code: 'Unregistered', class: 'permanent', message: 'APNs 410' },
      { message: 'BadDeviceToken' },
      'BadDeviceToken',
    ])('%j marks the device of this token invalid, and suppresses nobody', async (error) => {
      const event = unregistered({ error })
      await store(event)
      expect(await invalid()).toEqual([{ device_id: 'phone', invalid_since: new Date(event.received_at) }])
      expect(await list()).toEqual([])
    })

    it('finds the user by an earlier event of the notification', async () => {
      await store(
        makeEvent({ notification_id: 'push-1', user_id: user, status: 'sent', error: undefined }, 'push'),
      )
      await store(unregistered({ notification_id: 'push-1', user_id: undefined }))
      expect(await invalid()).toHaveLength(1)
    })

    it('an older time than the registration, another token and an untrusted report change nothing', async () => {
      const event = unregistered({})
      await store(
        unregistered({ timestamp: ago(2) }),
        unregistered({ recipient: 'unknown-token' }),
        unregistered({ recipient: undefined }),
        { ...event, feedback: undefined },
      )
      expect(await invalid()).toEqual([])
    })

    it('another permanent failure of a push suppresses the token', async () => {
      await store(makeEvent({ recipient: token, user_id: user }, 'push'))
      expect(await list()).toEqual([
        suppressed('', 'bounce', { channel: 'push', digest: digestOf(token, 'push') }),
      ])
    })
  })

  it('stores neither the row nor the consequence when the connection breaks between them', async () => {
    const bounce = makeEvent({ recipient: 'ann@example.com' })
    const blocker = await db.pool.connect()
    await blocker.query('BEGIN; LOCK TABLE suppressions IN ACCESS EXCLUSIVE MODE')
    const storing = store(bounce).catch((error: Error) => error)
    await waitFor('the consequence to wait', async () => {
      const { rows } = await db.pool.query(
        `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length === 1
    })
    expect(await storing).toBeInstanceOf(Error)
    blocker.release(true)
    expect([await countRows(), await list()]).toEqual([0, []])
    expect(await store(bounce)).toEqual(['stored'])
    expect([await countRows(), await list()]).toEqual([1, [suppressed('ann@example.com', 'bounce')]])
  })

  it('a batch without consequences is one statement, one with some is one transaction', async () => {
    const statements: string[] = []
    const record = (query: unknown) =>
      statements.push(typeof query === 'string' ? query : ((query as { name?: string }).name ?? 'other'))
    const pool = Object.assign(Object.create(db.pool), {
      query: (query: unknown, ...rest: unknown[]) => {
        record(query)
        return (db.pool.query as (...args: unknown[]) => unknown)(query, ...rest)
      },
      connect: () => {
        record('connect')
        return db.pool.connect()
      },
    })
    const counted = { ...db, pool }
    const harmless = [
      makeEvent({ status: 'opened', error: undefined, recipient: 'a@example.com' }),
      makeEvent({ recipient: 'a@example.com' }, 'email', false),
    ]
    await storeStatusEvents(counted, harmless)
    expect(statements).toEqual(['store-status-events'])
    await storeStatusEvents(counted, [makeEvent({ recipient: 'a@example.com' })])
    await storeStatusEvents(counted, [
      makeEvent({ status: 'delivered', error: undefined, recipient: 'a@example.com' }),
    ])
    expect(statements).toEqual(['store-status-events', 'connect', 'store-deliveries'])
  })
})
