import { addMessage } from '@tidings/db/users/outbound-messages'
import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { openRedis } from '@tidings/queue/open-redis'
import { publishMessages } from '@tidings/queue/outbound-queue'
import { DEAD_LETTER_QUEUE, OUTBOUND_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent, readPage } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import { digestRecipient } from '@tidings/shared/recipient'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { findTextInPostgres, findTextInRedis } from '../testing/find-text.ts'
import { attemptLogin, call, logIn, readMe, refresh, register } from '../testing/http.ts'
import { startTestApi, TEST_RECIPIENT_KEY, type TestApi } from '../testing/test-api.ts'

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

    // What providers report names no user: about a notification of the user, and about an address alone.
    for (const [notification, digest] of [
      ['n-2', null],
      ['of nobody', digestRecipient(TEST_RECIPIENT_KEY, 'email', email)],
    ])
      await pool.query(
        `INSERT INTO notification_status (id, "timestamp", received_at, notification_type, status, notification_id,
           source, error, metadata, recipient_digest)
         VALUES (gen_random_uuid(), now(), now(), 'email', 'bounced', $1, 'hook', $2, $3, decode($4, 'hex'))`,
        [notification, `<${email}>: unknown`, { to: email }, digest],
      )

    const redis =
      backend.kind === 'redis'
        ? releaser.add(
            openRedis(backend, 'patient', () => {}),
            (connection) => connection.disconnect(),
          )
        : undefined
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} })
    releaser.onRelease(() => queue.close())
    const outboundQueue = openQueue<OutboundJob>(OUTBOUND_QUEUE, backend, redis, { onError: () => {} })
    releaser.onRelease(() => outboundQueue.close())
    const [ofUser = '', ofNobody = '', ofOther = ''] = EVENT_IDS
    const failed = (eventId: string, fields: Record<string, unknown>, message: string) =>
      makeFailedEvent({ eventId, fields: { status: 'failed', ...fields }, error: { code: '40001', message } })
    await bury(queue, [
      failed(ofUser, { user_id: user.id, error: `no such box: ${email}` }, 'x'),
      failed(ofNobody, {}, `could not store for ${email.toLowerCase()}`),
      failed(ofOther, { user_id: other.id, error: 'kept as it is' }, 'kept too'),
    ])

    const outbound = { kind: 'email_verification', userId: user.id, to: email } as const
    const messages = [
      await addMessage(database.database, outbound),
      await addMessage(database.database, { ...outbound, variables: { name: email } }),
    ]
    await addMessage(database.database, { kind: 'password_reset', userId: null, to: email.toLowerCase() })
    await publishMessages(
      outboundQueue,
      messages.map((id) => ({
        v: 1,
        id,
        kind: outbound.kind,
        to: email,
        user_id: user.id,
        locale: 'en',
        variables: {},
        expires_at: new Date(Date.now() + 60_000).toISOString(),
      })),
    )

    // The searches find the address as long as it is there.
    expect(await findTextInPostgres(database.url, email)).toEqual(
      expect.arrayContaining(['public.users', 'public.notification_status', 'public.outbound_messages']),
    )
    if (redis) expect((await findTextInRedis(redis, email)).length).toBeGreaterThanOrEqual(5)

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
    expect(counts.rows).toEqual([{ rows: ROWS + 2, erased: ROWS + 1, others: 1 }])
    const digests = await pool.query('SELECT 1 FROM notification_status WHERE recipient_digest IS NOT NULL')
    expect(digests.rowCount).toBe(0)
    const store = await openDeadLetters({ backend, shards: 1, onError: () => {} })
    const entries = (await readPage(store, { limit: 10 })).map(({ entry }) => entry)
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

const eraseMe = (api: TestApi, token: string, body?: object) =>
  call(`${api.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token, ...(body && { body }) })

describe('an erasure', () => {
  const releaser = useReleaser()
  const legacySecret = 'the secret of the django service'
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser, { LEGACY_HS256_SECRET: legacySecret })
  })

  /** Registers a user whose session began six minutes ago, and has been refreshed since. */
  async function registerEarlier() {
    const user = await register(api.apiUrl)
    await api.database.pool.query(
      "UPDATE sessions SET created_at = created_at - interval '6 minutes' WHERE user_id = $1",
      [user.id],
    )
    const { token } = (await refresh(api.apiUrl, user.refreshToken)).body.data
    return { ...user, token }
  }

  it.each<{ password?: string | null } | undefined>([
    undefined,
    {},
    { password: null },
    { password: 'wrong password' },
  ])('is refused in an older session with the body %j', async (body) => {
    const user = await registerEarlier()
    const refused = await eraseMe(api, user.token, body)
    expect([refused.status, refused.body.error]).toEqual([403, 'reauthentication_required'])
    const wrong = [{ pointer: '/password', code: 'wrong_password' }]
    expect(refused.body.errors).toMatchObject(body?.password ? wrong : [])
    await logIn(api.apiUrl, user.email, user.password)
  })

  it('is done in an older session with the password, and in a new one without', async () => {
    const user = await registerEarlier()
    expect((await eraseMe(api, user.token, { password: user.password })).status).toBe(200)
    const other = await registerEarlier()
    const { token } = await logIn(api.apiUrl, other.email, other.password)
    expect((await eraseMe(api, token)).status).toBe(200)
    expect((await attemptLogin(api.apiUrl, other.email, other.password)).status).toBe(401)
  })

  it('is refused in a new session with a wrong password', async () => {
    const user = await register(api.apiUrl)
    expect((await eraseMe(api, user.token, { password: 'wrong password' })).status).toBe(403)
    await logIn(api.apiUrl, user.email, user.password)
  })

  it('needs the password with a token of the Django service', async () => {
    const user = await register(api.apiUrl)
    const token = await new SignJWT({ user_id: user.id })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setExpirationTime('7 days')
      .sign(new TextEncoder().encode(legacySecret))
    expect((await eraseMe(api, token)).body.error).toBe('reauthentication_required')
    expect((await eraseMe(api, token, { password: user.password })).status).toBe(200)
  })

  it('is limited by address', async () => {
    const limited = await startTestApi(releaser, { RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_ERASE_PER_IP: '2' })
    const statuses: number[] = []
    for (let n = 0; n < 3; n++)
      statuses.push((await eraseMe(limited, (await register(limited.apiUrl)).token)).status)
    expect(statuses).toEqual([200, 200, 429])
  })
})

describeRedis('a thousand requests to erase one account', () => {
  const releaser = useReleaser()
  const ENTRIES = 40

  it('read the dead letters once', async () => {
    // Private, because the test counts the server's commands.
    const { url } = await startTestRedis(releaser)
    const redis = releaser.add(new Redis(url), (connection) => connection.disconnect())
    const backend: QueueBackend = { kind: 'redis', url, prefix: 'erasing' }
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} })
    releaser.onRelease(() => queue.close())
    await bury(
      queue,
      Array.from({ length: ENTRIES }, () => makeFailedEvent({})),
    )
    const api = await startTestApi(releaser, {}, { backend })
    const countPages = async () =>
      Number(/cmdstat_zrange:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)

    const one = await register(api.apiUrl)
    let before = await countPages()
    expect((await eraseMe(api, one.token)).status).toBe(200)
    const pagesPerWalk = (await countPages()) - before
    expect(pagesPerWalk).toBeGreaterThan(0)

    const other = await register(api.apiUrl)
    before = await countPages()
    const replies = await Promise.all(Array.from({ length: 1_000 }, () => eraseMe(api, other.token)))
    const statuses = new Set(replies.map(({ status }) => status))
    expect(statuses).toContain(200)
    // A request that is handled after the erasure finds no session, or no user.
    expect([401, 404]).toEqual(expect.arrayContaining([...statuses].filter((status) => status !== 200)))
    // The second walk for the first user may come in between.
    expect((await countPages()) - before).toBeLessThanOrEqual(2 * pagesPerWalk)
  })
})
