import { identifyEvent } from '@tidings/shared/event-identity'
import { DEFAULT_RECIPIENT_KEY, digestRecipient } from '@tidings/shared/recipient'
import { type StatusEvent, statusReportSchema } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { addSuppressions, liftSuppressions } from '../suppressions/suppressions.ts'
import { storeStatusEvents } from './status-events.ts'

const RECIPIENTS = Array.from({ length: 50 }, (_, index) => `r${index}@example.com`)
const DIGESTS = RECIPIENTS.map((recipient) => digestRecipient(DEFAULT_RECIPIENT_KEY, 'email', recipient))

/** One event of a trusted source to each recipient, all of the same notification. */
const toEach = (status: string): StatusEvent[] =>
  RECIPIENTS.map((recipient) =>
    report({ status, recipient, ...(status !== 'delivered' && { error: 'gone' }) }),
  )

function report(more: object): StatusEvent {
  const parsed = statusReportSchema.parse({ notification_id: 'n', ...more })
  return identifyEvent(parsed, { type: 'email', source: 'hook', receivedAt: new Date(), feedback: true })
}

const AUDIT = { actor: 'ops', action: 'suppressions.lift' }
const SUPPRESSION = {
  ...({ channel: 'email', category: null, reason: 'bounce' } as const),
  ...{ origin: 'test', event_id: null, note: null, until: null },
}

/** Two transactions that lock the same rows in different orders end in a deadlock, so that one of them fails. */
describe('a transaction that waits for a locked row', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })
  beforeEach(() =>
    db.pool.query('TRUNCATE suppressions, failed_deliveries, notification_status, event_keys, status_counts'),
  )

  /** Runs `work` while another transaction has locked what `lock` selects. @returns the result, and what `look` saw. */
  async function whileLocked<Result, Seen>(
    lock: { text: string; values?: unknown[] },
    work: () => Promise<Result>,
    look: () => Promise<Seen>,
  ): Promise<{ result: Result; seen: Seen }> {
    const other = await db.pool.connect()
    try {
      await other.query('BEGIN')
      expect((await other.query(lock)).rowCount).toBe(1)
      const working = work()
      await waitFor('the other to wait', async () => {
        const waiting =
          "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return (await db.pool.query(waiting)).rowCount === 1
      })
      const seen = await look()
      await other.query('COMMIT')
      return { result: await working, seen }
    } finally {
      other.release()
    }
  }

  const countUnlocked = (table: string) => async () =>
    (await db.pool.query(`SELECT 1 FROM ${table} FOR UPDATE SKIP LOCKED`)).rowCount

  it.each(['delivered', 'failed'])('has locked none that comes later: failures, by %s', async (status) => {
    await storeStatusEvents(db, toEach('failed'))
    const { result, seen } = await whileLocked(
      {
        text: 'SELECT 1 FROM failed_deliveries ORDER BY channel, recipient_digest, attempt_digest LIMIT 1 FOR UPDATE',
      },
      () => storeStatusEvents(db, toEach(status).toReversed()),
      countUnlocked('failed_deliveries'),
    )
    expect(seen).toBe(RECIPIENTS.length - 1)
    expect(new Set(result)).toEqual(new Set(['stored']))
  })

  it('has locked none that comes later: suppressions, by lifting them', async () => {
    // One by one, so that they lie in another order on the disk.
    for (const digest of DIGESTS.toSorted().toReversed())
      await addSuppressions(db, [{ ...SUPPRESSION, digest, since: new Date() }])
    await db.pool.query('ANALYZE suppressions')
    const { seen } = await whileLocked(
      { text: 'SELECT 1 FROM suppressions ORDER BY recipient_digest LIMIT 1 FOR UPDATE' },
      () => liftSuppressions(db, { channel: 'email', digests: DIGESTS }, undefined, AUDIT),
      countUnlocked('suppressions'),
    )
    expect(seen).toBe(RECIPIENTS.length - 1)
  })

  it('lifts what it has found, not a complaint that is stored while it waits', async () => {
    const [digest = ''] = DIGESTS
    await addSuppressions(db, [{ ...SUPPRESSION, digest, since: new Date() }])
    const complaint = { ...SUPPRESSION, reason: 'complaint', digest, since: new Date() } as const
    const { result } = await whileLocked(
      { text: 'SELECT 1 FROM suppressions FOR UPDATE' },
      () => liftSuppressions(db, { channel: 'email', digests: [digest] }, undefined, AUDIT),
      () => addSuppressions(db, [complaint]),
    )
    expect(result).toMatchObject({ outcome: 'lifted', suppressions: [{ reason: 'bounce' }] })
    const left = await db.pool.query('SELECT reason FROM suppressions')
    expect(left.rows).toEqual([{ reason: 'complaint' }])
  })
})
