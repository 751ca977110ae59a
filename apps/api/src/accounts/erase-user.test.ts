import { openQueue } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { findTextInPostgres, findTextInRedis } from '../testing/find-text.ts'
import { attemptLogin, call, readMe, register } from '../testing/http.ts'
import { startTestApi } from '../testing/test-api.ts'

/** More than one batch of an erasure. */
const ROWS = 12_001
const EVENT_IDS = [1, 2, 3].map((n) => `00000000-0000-4000-8000-00000000000${n}`)

describeBackends('erasing an account', (kind) => {
  const releaser = useReleaser()

  it('leaves no trace of the address in PostgreSQL, the queue, the cache or the dead letters', async () => {
    const database = await createTestDatabase(releaser)
    const { pool } = database.database
    const backend = await createTestBackend(kind, releaser, database)
    const api = await startTestApi(releaser, {}, { database, backend })
    const email = 'To.Be.Erased@example.com'
    const user = await register(api.apiUrl, { email })
    const other = await register(api.apiUrl)
    await attemptLogin(api.apiUrl, email, 'wrong password')
    await readMe(api.apiUrl, user.token)
    await pool.query(
      `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status,
         notification_id, source, error, metadata)
       SELECT gen_random_uuid(), CASE WHEN n = 1 THEN $2::uuid ELSE $1::uuid END, now(), now(), 'email', 'failed',
         'n-' || n, 'test', CASE WHEN n = 1 THEN 'another error' ELSE 'mailbox of ' || $3 || ' is full' END,
         CASE WHEN n > 1 THEN jsonb_build_object('to', $3::text) END
       FROM generate_series(1, $4) n`,
      [user.id, other.id, email.toLowerCase(), ROWS],
    )

    const redis =
      backend.kind === 'redis'
        ? releaser.add(new Redis(backend.url), (connection) => connection.disconnect())
        : undefined
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} })
    releaser.onRelease(() => queue.close())
    const [ofUser = '', ofNobody = '', ofOther = ''] = EVENT_IDS
    const failed = (eventId: string, fields: Record<string, unknown>, message: string) =>
      makeFailedEvent({ eventId, fields: { status: 'failed', ...fields }, error: { code: '40001', message } })
    await bury(queue, [
      failed(ofUser, { user_id: user.id, error: `no such box: ${email}` }, 'x'),
      failed(ofNobody, {}, `could not store for ${email.toLowerCase()}`),
      failed(ofOther, { user_id: other.id, error: 'kept as it is' }, 'kept too'),
    ])

    // The searches find the address as long as it is there.
    expect(await findTextInPostgres(database.url, email)).toEqual(
      expect.arrayContaining(['public.users', 'public.notification_status']),
    )
    if (redis) expect((await findTextInRedis(redis, email)).length).toBeGreaterThanOrEqual(3)

    const erased = await call(`${api.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token: user.token })
    expect([erased.status, erased.body.data]).toEqual([200, { id: user.id }])

    expect(await findTextInPostgres(database.url, email)).toEqual([])
    expect(await findTextInPostgres(database.url, user.id)).toEqual([])
    if (redis) {
      expect(await findTextInRedis(redis, email)).toEqual([])
      const keys = await findTextInRedis(redis, user.id)
      expect(keys.filter((key) => !key.includes(':cache:'))).toEqual([])
    }

    const counts = await pool.query(
      `SELECT count(*)::int AS rows, (count(*) FILTER (WHERE user_id IS NULL AND metadata IS NULL))::int AS erased,
         (count(*) FILTER (WHERE error = 'another error'))::int AS others FROM notification_status`,
    )
    expect(counts.rows).toEqual([{ rows: ROWS, erased: ROWS - 1, others: 1 }])
    const store = await openDeadLetters({ backend, shards: 1, onError: () => {} })
    const entries = (await store.page({ limit: 10 })).map(({ entry }) => entry)
    await store.close()
    expect(entries).toHaveLength(3)
    expect(entries.find(({ id }) => id.includes(ofOther))).toMatchObject({
      event: { user_id: other.id, error: 'kept as it is' },
      error: { message: 'kept too' },
    })
    expect(entries.find(({ id }) => id.includes(ofUser))).toMatchObject({
      event: { status: 'failed', error: '[erased]' },
      error: { code: '40001', message: '[erased]' },
    })
    expect((await attemptLogin(api.apiUrl, email, user.password)).status).toBe(401)
    await register(api.apiUrl, { email })
  })
})
