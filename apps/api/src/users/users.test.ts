import { openQueue } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { bury } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import pg from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, logIn, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const ABSENT = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'

describe('users', () => {
  const releaser = useReleaser()
  let api: TestApi
  let usersUrl: string
  let reader: string
  beforeAll(async () => {
    api = await startTestApi(releaser, { RATE_LIMIT_ENABLED: 'false' })
    usersUrl = `${api.apiUrl}/api/v1/users`
    reader = await api.createKey('users:read')
  })

  const patch = (user: TestUser, path: string, body: unknown) =>
    call(`${usersUrl}/${path}`, { method: 'PATCH', token: user.token, body })

  it('change their name, push token and one preference at a time, and nothing else', async () => {
    const user = await register(api.apiUrl)
    expect((await patch(user, 'me', { name: '  New Name ' })).body.data).toMatchObject({ name: 'New Name' })
    expect((await patch(user, `${user.id}/`, { push_token: 'abc' })).body.data).toMatchObject({
      push_token: 'abc',
    })
    const reply = await patch(user, 'me/', { preferences: { push: false } })
    expect(reply.body.data).toMatchObject({
      id: user.id,
      name: 'New Name',
      push_token: 'abc',
      preferences: { email: true, push: false },
    })
    expect((await patch(user, 'me/update_push_token/', { push_token: null })).body.data).toMatchObject({
      push_token: null,
    })
    expect((await patch(user, 'me', {})).status).toBe(200)
  })

  it.each([
    ['role', { role: 'admin' }],
    ['email', { email: 'other@example.com' }],
    ['is_staff', { is_staff: true }],
    ['a preference that does not exist', { preferences: { sms: true } }],
    ['an empty name', { name: ' ' }],
    ['NUL', { name: 'a\0b' }],
    ['a lone surrogate', { name: '\ud800' }],
  ])('cannot change %s', async (_what, body) => {
    const user = await register(api.apiUrl)
    const before = (await call(`${usersUrl}/me`, { token: user.token })).text
    expect((await patch(user, 'me', body)).status).toBe(400)
    expect((await call(`${usersUrl}/me`, { token: user.token })).text).toBe(before)
  })

  it('cannot change, erase or re-password another user, nor learn that they exist', async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const passwords = { current_password: other.password, new_password: 'taken over 123456' }
    const attempts = (id: string) => [
      patch(user, `${id}/`, { name: 'X' }),
      patch(user, `${id}/update_push_token/`, { push_token: 'x' }),
      call(`${usersUrl}/${id}/password/`, { token: user.token, body: passwords }),
      call(`${usersUrl}/${id}/`, { method: 'DELETE', token: user.token }),
    ]
    const strip = (text: string) => text.replace(/"instance":"[^"]*"/, '')
    const others = await Promise.all(attempts(other.id))
    const absent = await Promise.all(attempts(ABSENT))
    expect(others.map((reply) => reply.status)).toEqual([404, 404, 404, 404])
    expect(others.map((reply) => strip(reply.text))).toEqual(absent.map((reply) => strip(reply.text)))
    await logIn(api.apiUrl, other.email, other.password)
  })

  it('change their password only with the current one, and only to a strong one', async () => {
    const user = await register(api.apiUrl)
    const change = (current_password: string, new_password: string) =>
      call(`${usersUrl}/me/password/`, { token: user.token, body: { current_password, new_password } })
    const wrong = await change('not the current one', 'a good new password')
    expect([wrong.status, wrong.body.errors?.[0]]).toMatchObject([
      400,
      { pointer: '/current_password', code: 'wrong_password' },
    ])
    const common = await change(user.password, 'password123')
    expect([common.status, common.body.errors?.[0]]).toMatchObject([400, { pointer: '/new_password' }])
    expect((await change(user.password, 'a good new password')).status).toBe(200)
    await logIn(api.apiUrl, user.email, 'a good new password')
  })

  it('are listed for a service, newest first, every one once', async () => {
    const made: string[] = []
    for (let n = 0; n < 7; n++) made.push((await register(api.apiUrl)).id)
    const listed: string[] = []
    let cursor = ''
    for (;;) {
      const { body } = await call<{ id: string }[]>(`${usersUrl}/?limit=3${cursor && `&cursor=${cursor}`}`, {
        token: reader,
      })
      expect(body.meta).toMatchObject({ limit: 3, has_next: body.meta?.next_cursor !== null })
      listed.push(...body.data.map((user) => user.id))
      if (body.meta?.next_cursor == null) break
      cursor = body.meta.next_cursor
    }
    expect(listed.slice(0, 7)).toEqual(made.toReversed())
    expect(new Set(listed).size).toBe(listed.length)
    const { rows } = await api.database.pool.query('SELECT count(*)::int AS n FROM users')
    expect(listed.length).toBe(rows[0].n)
  })

  it('are not listed for users, nor with a cursor that was made up', async () => {
    const user = await register(api.apiUrl)
    expect((await call(`${usersUrl}/`, { token: user.token })).status).toBe(403)
    expect((await call(`${usersUrl}/`)).status).toBe(401)
    expect((await call(`${usersUrl}/?cursor=abc`, { token: reader })).status).toBe(400)
    expect((await call(`${usersUrl}/?limit=101`, { token: reader })).status).toBe(400)
  })

  describe('preferences for a sender', () => {
    const channel = (email: string | null, push: string | null) => ({
      deliverable: { email: email === null, push: push === null },
      reasons: { email, push },
    })

    it('say what was chosen and what is deliverable, with the first reason against it', async () => {
      const reachable = await register(api.apiUrl, { push_token: 'device' })
      const noToken = await register(api.apiUrl)
      const optedOut = await register(api.apiUrl, { push_token: 'device' })
      await patch(optedOut, 'me', { preferences: { email: false, push: false } })
      const inactive = await register(api.apiUrl, { push_token: 'device' })
      await api.database.pool.query('UPDATE users SET is_active = false WHERE id = $1', [inactive.id])
      const ids = [reachable.id, noToken.id, optedOut.id, inactive.id, ABSENT, reachable.id.toUpperCase()]
      const reply = await call(`${usersUrl}/preferences/batch/`, { token: reader, body: { user_ids: ids } })
      const both = { email: true, push: true }
      expect(reply.body.data).toEqual([
        { user_id: reachable.id, preferences: both, ...channel(null, null) },
        { user_id: noToken.id, preferences: both, ...channel(null, 'no_push_token') },
        {
          user_id: optedOut.id,
          preferences: { email: false, push: false },
          ...channel('opted_out', 'opted_out'),
        },
        { user_id: inactive.id, preferences: both, ...channel('inactive', 'inactive') },
        { user_id: ABSENT, preferences: null, ...channel('unknown_user', 'unknown_user') },
      ])
      const one = await call(`${usersUrl}/${noToken.id}/preferences/`, { token: reader })
      expect(one.body.data).toEqual({
        user_id: noToken.id,
        preferences: both,
        ...channel(null, 'no_push_token'),
      })
      expect((await call(`${usersUrl}/${ABSENT}/preferences/`, { token: reader })).status).toBe(404)
    })

    it('take 1 to 500 ids, from services only', async () => {
      const user = await register(api.apiUrl)
      const ask = (user_ids: string[], token = reader) =>
        call(`${usersUrl}/preferences/batch`, { token, body: { user_ids } })
      const many = Array.from(
        { length: 500 },
        (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
      )
      expect((await ask(many)).status).toBe(200)
      expect((await ask([...many, ABSENT])).status).toBe(400)
      expect((await ask([])).status).toBe(400)
      expect((await ask(['me'])).status).toBe(400)
      expect((await ask([user.id], user.token)).status).toBe(403)
    })
  })
})

describeBackends('erasing an account', (kind) => {
  const releaser = useReleaser()

  it('leaves no trace of the address in PostgreSQL, in the queue, the cache or the dead letters', async () => {
    const database = await createTestDatabase(releaser)
    const backend = await createTestBackend(kind, releaser, database)
    const api = await startTestApi(releaser, {
      DATABASE_URL: database.url,
      JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
      ...(backend.kind === 'redis' && {
        QUEUE_BACKEND: 'redis',
        REDIS_URL: backend.url,
        QUEUE_PREFIX: backend.prefix,
      }),
    })
    const email = 'To.Be.Erased@example.com'
    const user = await register(api.apiUrl, { email })
    const other = await register(api.apiUrl)
    await call(`${api.apiUrl}/api/v1/users/login/`, { body: { email, password: 'wrong password' } })
    await call(`${api.apiUrl}/api/v1/users/me/`, { token: user.token })
    await database.database.pool.query(
      `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status,
         notification_id, source, error, metadata)
       SELECT gen_random_uuid(), CASE WHEN n = 1 THEN $2::uuid ELSE $1::uuid END, now(), now(), 'email', 'failed',
         'n-' || n, 'test', 'mailbox of ' || $3 || ' is full', jsonb_build_object('to', $3::text)
       FROM generate_series(1, 12001) n`,
      [user.id, other.id, email.toLowerCase()],
    )
    await database.database.pool.query(
      'UPDATE notification_status SET error = $1, metadata = NULL WHERE user_id = $2',
      ['another error', other.id],
    )

    const redis =
      backend.kind === 'redis' ? releaser.add(new Redis(testRedisUrl()), (r) => r.disconnect()) : undefined
    const queue = releaser.add(
      openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} }),
      (opened) => opened.close(),
    )
    const failedEvent = (eventId: string, event: object, message: string): FailedEvent => ({
      eventId,
      event: { id: eventId, notification_id: 'n', status: 'failed', ...event },
      reason: 'retries_exhausted',
      error: { code: '40001', message },
      attempts: 4,
      firstFailedAt: new Date(),
      sourceJobId: null,
      redrives: 0,
    })
    await bury(queue, [
      failedEvent(
        '00000000-0000-4000-8000-000000000001',
        { user_id: user.id, error: `no such box: ${email}` },
        'x',
      ),
      failedEvent('00000000-0000-4000-8000-000000000002', {}, `could not store for ${email.toLowerCase()}`),
      failedEvent(
        '00000000-0000-4000-8000-000000000003',
        { user_id: other.id, error: 'kept as it is' },
        'kept too',
      ),
    ])

    expect(await findInPostgres(database.url, email)).toEqual(
      expect.arrayContaining(['public.users', 'public.notification_status']),
    )
    if (redis) expect((await findInRedis(redis, email)).length).toBeGreaterThanOrEqual(3)

    const erased = await call(`${api.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token: user.token })
    expect([erased.status, erased.body.data]).toEqual([200, { id: user.id }])

    expect(await findInPostgres(database.url, email)).toEqual([])
    expect(await findInPostgres(database.url, user.id)).toEqual([])
    if (redis) expect(await findInRedis(redis, email)).toEqual([])
    if (redis)
      expect((await findInRedis(redis, user.id)).filter((key) => !key.includes(':cache:'))).toEqual([])

    const counts = await database.database.pool.query(
      `SELECT count(*)::int AS rows, (count(*) FILTER (WHERE user_id IS NULL AND metadata IS NULL))::int AS erased,
         (count(*) FILTER (WHERE error = 'another error'))::int AS others FROM notification_status`,
    )
    expect(counts.rows).toEqual([{ rows: 12_001, erased: 12_000, others: 1 }])
    const store = await openDeadLetters({ backend, shards: 1, onError: () => {} })
    const letters = (await store.page({ limit: 10 })).map(({ entry }) => entry)
    await store.close()
    expect(letters).toHaveLength(3)
    expect(letters.find((letter) => letter.id.endsWith('3'))).toMatchObject({
      event: { user_id: other.id, error: 'kept as it is' },
      error: { message: 'kept too' },
    })
    expect(letters.find((letter) => letter.id.endsWith('1'))).toMatchObject({
      event: { notification_id: 'n', status: 'failed', error: '[erased]' },
      error: { code: '40001', message: '[erased]' },
    })
    const again = await call(`${api.apiUrl}/api/v1/users/login/`, {
      body: { email, password: user.password },
    })
    expect(again.status).toBe(401)
    await register(api.apiUrl, { email })
  })
})

/** Every table that holds the text in any column, whatever its case. */
async function findInPostgres(url: string, text: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const tables = await client.query<{ name: string }>(
      `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    )
    const found: string[] = []
    for (const { name } of tables.rows) {
      const { rows } = await client.query(
        `SELECT 1 FROM ${name} t WHERE strpos(lower(row_to_json(t)::text), lower($1)) > 0 LIMIT 1`,
        [text],
      )
      if (rows.length > 0) found.push(name)
    }
    return found
  } finally {
    await client.end()
  }
}

/** Every key whose name or value holds the text, whatever its case. */
async function findInRedis(redis: Redis, text: string): Promise<string[]> {
  const found: string[] = []
  for (const key of await redis.keys('*')) {
    const held = `${key}\n${JSON.stringify(await readValue(redis, key))}`
    if (held.toLowerCase().includes(text.toLowerCase())) found.push(key)
  }
  return found
}

async function readValue(redis: Redis, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return redis.get(key)
    case 'hash':
      return redis.hgetall(key)
    case 'list':
      return redis.lrange(key, 0, -1)
    case 'set':
      return redis.smembers(key)
    case 'zset':
      return redis.zrange(key, '0', '-1')
    case 'stream':
      return redis.xrange(key, '-', '+')
    default:
      return undefined
  }
}
