import { createHmac, randomUUID } from 'node:crypto'
import { type IncomingMessage, request } from 'node:http'
import { addSuppressions } from '@tidings/db/suppressions/suppressions'
import { mintToken } from '@tidings/db/users/one-time-tokens'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { openQueue } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLogger } from '@tidings/runtime/log'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { digestRecipient } from '@tidings/shared/recipient'
import type { NotificationType } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NO_RATE_LIMITS } from '../auth/rate-limits.ts'
import { ABSENT_ID } from '../testing/bad-inputs/bad-input.ts'
import { call, register, type TestUser } from '../testing/http.ts'
import { startTestApi, TEST_RECIPIENT_KEY, type TestApi } from '../testing/test-api.ts'
import { createAccountExporter } from './export-account.ts'

const EVENTS = 20_000

const unused = () => {}

interface Line {
  type: string
  data: Record<string, unknown>
  counts: Record<string, number>
}

const parseLines = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Stores events of a user with 4 KB of metadata each. */
const addEvents = (api: Pick<TestApi, 'database'>, userId: string, count: number) =>
  api.database.pool.query(
    `INSERT INTO notification_status (id, user_id, timestamp, received_at, notification_type, status, notification_id, source, metadata)
     SELECT gen_random_uuid(), $1, now() - n * interval '1 second', now(), 'email', 'sent', 'n-' || n, 'email-service',
       jsonb_build_object('page', repeat('x', 4000))
     FROM generate_series(1, $2) AS n`,
    [userId, count],
  )

describeBackends('exporting an account', (kind) => {
  const releaser = useReleaser()
  let api: TestApi
  let owner: TestUser

  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    const backend = await createTestBackend(kind, releaser, database)
    api = await startTestApi(releaser, {}, { database, backend })
  })
  beforeEach(async () => {
    owner = await register(api.apiUrl, { push_token: 'own-push-token' })
  })

  const exportOf = (token: string, id = 'me') =>
    fetch(`${api.apiUrl}/api/v1/users/${id}/export/`, { headers: { authorization: `Bearer ${token}` } })
  const audit = async (result: string) => {
    const { rows } = await api.database.pool.query<{ matched: number }>(
      `SELECT matched FROM operator_audit
       WHERE action = 'users.export' AND selector ->> 'user_id' = $1 AND result = $2`,
      [owner.id, result],
    )
    return rows
  }
  const buryOf = async (userId: string, count: number) => {
    const { backend } = api
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', () => {}) : undefined
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} })
    const fields = { user_id: userId }
    await bury(
      queue,
      Array.from({ length: count }, () => makeFailedEvent({ fields })),
    )
    await queue.close()
    redis?.disconnect()
  }

  it('holds everything about the user, no secret, and nothing about others', async () => {
    const other = await register(api.apiUrl, { push_token: 'other-push-token' })
    const { database } = api
    const { pool } = database
    await addEvents(api, owner.id, 2)
    await addEvents(api, other.id, 3)
    await buryOf(owner.id, 2)
    await buryOf(other.id, 1)
    const expiresAt = new Date(Date.now() + 60_000)
    const link = { userId: owner.id, purpose: 'password_reset', email: owner.email, expiresAt } as const
    const secret = await mintToken(database, link)
    await addMessage(database, { kind: 'password_reset', userId: null, to: owner.email })
    await addMessage(database, { kind: 'new_device', userId: owner.id, to: owner.email })
    await addMessage(database, { kind: 'new_device', userId: other.id, to: other.email })
    await pool.query(
      `INSERT INTO devices (user_id, device_id, token, token_digest) VALUES
       ($1, 'phone', 'own-device-token', '\\x01'), ($2, 'phone', 'other-device-token', '\\x02')`,
      [owner.id, other.id],
    )
    await pool.query(`INSERT INTO event_outbox (id, event, why) VALUES (gen_random_uuid(), $1, 'test')`, [
      JSON.stringify({ user_id: owner.id, notification_id: 'waits' }),
    ])

    const suppress = (channel: NotificationType, recipient: string) => ({
      ...{ channel, digest: digestRecipient(TEST_RECIPIENT_KEY, channel, recipient), category: null },
      ...{ reason: 'manual' as const, origin: 'operator-ann', event_id: null, note: 'asked by phone' },
      ...{ since: new Date(), until: null },
    })
    await addSuppressions(database, [
      suppress('email', owner.email),
      suppress('push', 'own-device-token'),
      suppress('email', other.email),
    ])

    const answer = await exportOf(owner.token)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment; filename="tidings-export-${owner.id}.ndjson"`,
    )
    const text = await answer.text()
    const lines = parseLines(text)
    const counts = {
      account: 1,
      preferences: 1,
      device: 2,
      suppression: 2,
      session: 1,
      one_time_token: 1,
      outbound_message: 3,
      event: 2,
      waiting_event: 1,
      dead_letter: 2,
      audit_entry: 1,
    }
    expect(lines.at(-1)).toEqual({ type: 'end', counts })
    for (const [type, count] of Object.entries(counts))
      expect([type, lines.filter((line) => line.type === type).length]).toEqual([type, count])
    expect(lines[0]?.data).toMatchObject({ id: owner.id, email: owner.email })
    expect(text).toContain('own-device-token')

    const { rows } = await pool.query<{ password: string }>('SELECT password FROM users')
    const hidden = [
      secret,
      owner.refreshToken,
      owner.token,
      ...rows.map(({ password }) => password),
      other.id,
      other.email,
      'other-push-token',
      'other-device-token',
      'pbkdf2',
      'digest',
      'hash',
      'operator-ann',
    ]
    for (const word of hidden) expect(text).not.toContain(word)
  })

  it('has a section for every table that refers to users', async () => {
    const { rows } = await api.database.pool.query<{ name: string }>(
      `SELECT conrelid::regclass::text AS name FROM pg_constraint
       WHERE contype = 'f' AND confrelid = 'users'::regclass AND conparentid = 0 ORDER BY 1`,
    )
    // A table that is missing here needs a section in packages/db/src/users/export-user.ts.
    expect(rows.map(({ name }) => name)).toEqual([
      'devices',
      'notification_status',
      'one_time_tokens',
      'outbound_messages',
      'sessions',
    ])
  })

  it('is for the user only: another id is 404, and a service key is refused', async () => {
    const other = await register(api.apiUrl)
    for (const id of [other.id, ABSENT_ID]) expect((await exportOf(owner.token, id)).status).toBe(404)
    expect((await exportOf(await api.createKey(), owner.id)).status).toBe(403)
    expect((await exportOf(owner.token, owner.id)).status).toBe(200)
  })

  it('answers HEAD without an export', async () => {
    const head = await fetch(`${api.apiUrl}/api/v1/users/me/export/`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${owner.token}` },
    })
    expect([head.status, head.headers.get('content-type')]).toEqual([200, 'application/x-ndjson'])
    expect(await audit('started')).toEqual([])
  })

  it(`streams ${EVENTS} events, each once, the newest first`, async () => {
    await addEvents(api, owner.id, EVENTS)
    const lines = parseLines(await (await exportOf(owner.token)).text())
    const events = lines.filter(({ type }) => type === 'event').map(({ data }) => data)
    expect(new Set(events.map(({ id }) => id)).size).toBe(EVENTS)
    const times = events.map(({ timestamp }) => String(timestamp))
    expect(times).toEqual(times.toSorted().reverse())
    expect(lines.at(-1)?.counts.event).toBe(EVENTS)
    expect(await audit('done')).toEqual([{ matched: lines.length - 1 }])
  })

  it('ends when the client goes away, and leaves room for others', async () => {
    await addEvents(api, owner.id, EVENTS)
    for (let n = 1; n <= 6; n++) {
      await new Promise<void>((resolve, reject) => {
        const headers = { authorization: `Bearer ${owner.token}` }
        const asked = request(
          `${api.apiUrl}/api/v1/users/me/export/`,
          { headers },
          (answer: IncomingMessage) => answer.once('data', () => resolve(void asked.destroy())),
        )
        asked.on('error', reject).end()
      })
      const broken = await waitFor('the export to end', async () => {
        const rows = await audit('broken off')
        return rows.length === n && rows
      })
      for (const { matched } of broken) expect(matched).toBeLessThan(EVENTS)
    }
  })

  it('reads the next part only when the last one is taken', async () => {
    await addEvents(api, owner.id, EVENTS)
    let queries = 0
    const { database, backend } = api
    const deadLetters = await openDeadLetters({ backend, shards: 1, onError: () => {} })
    const exportAccount = createAccountExporter({
      db: {
        ...database,
        orm: new Proxy(database.orm, {
          get(orm, name) {
            if (name === 'select') queries++
            return Reflect.get(orm, name)
          },
        }),
      },
      rateLimits: NO_RATE_LIMITS,
      recipientKey: TEST_RECIPIENT_KEY,
      openDeadLetters: async () => deadLetters,
      log: createLogger('test', 'silent'),
    })
    const reader = (await exportAccount(owner.id, unused)).getReader()
    const before = queries
    for (let parts = 1; parts <= 10; parts++) {
      await reader.read()
      expect(queries).toBeLessThanOrEqual(before + parts + 4)
    }
    await reader.cancel()
    expect(await audit('broken off')).toHaveLength(1)
  })

  it('has no last line when the user is erased meanwhile', async () => {
    await addEvents(api, owner.id, EVENTS)
    const answer = await exportOf(owner.token)
    const reader = answer.body?.getReader()
    const first = await reader?.read()
    const erased = await call(`${api.apiUrl}/api/v1/users/me/`, {
      method: 'DELETE',
      token: owner.token,
      body: { password: owner.password },
    })
    expect(erased.status).toBe(200)
    let text = Buffer.from(first?.value ?? []).toString()
    const drain = async () => {
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read())
        text += Buffer.from(part.value).toString()
    }
    await expect(drain()).rejects.toThrow()
    expect(text).not.toContain('"type":"end"')
  })
})

describe('limits of exports', () => {
  const releaser = useReleaser()

  it('allow a few an hour and user', async () => {
    const limited = await startTestApi(releaser, {
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_EXPORT_PER_USER: '2',
    })
    const [ada, bob] = [await register(limited.apiUrl), await register(limited.apiUrl)]
    const statusOf = async ({ token }: TestUser) => {
      const answer = await fetch(`${limited.apiUrl}/api/v1/users/me/export/`, {
        headers: { authorization: `Bearer ${token}` },
      })
      await answer.text()
      return answer.status
    }
    expect([await statusOf(ada), await statusOf(ada), await statusOf(ada)]).toEqual([200, 200, 429])
    expect(await statusOf(bob)).toBe(200)
  })

  it('need a session: a token of the Django service is refused', async () => {
    const secret = 'a secret of the Django service'
    const legacy = await startTestApi(releaser, { LEGACY_HS256_SECRET: secret })
    const owner = await register(legacy.apiUrl)
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const now = Math.floor(Date.now() / 1000)
    const claims = { user_id: owner.id, email: owner.email, iat: now + 1, exp: now + 600 }
    const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
    const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
    expect((await call(`${legacy.apiUrl}/api/v1/users/me/`, { token })).status).toBe(200)
    const refused = await call(`${legacy.apiUrl}/api/v1/users/me/export/`, { token })
    expect([refused.status, refused.body.error]).toEqual([403, 'reauthentication_required'])
  })

  it('allow four at once', async () => {
    const api = await startTestApi(releaser)
    const owner = await register(api.apiUrl)
    await addEvents(api, owner.id, 5_000)
    const exportAccount = createAccountExporter({
      db: api.database,
      rateLimits: NO_RATE_LIMITS,
      recipientKey: TEST_RECIPIENT_KEY,
      openDeadLetters: () => openDeadLetters({ backend: api.backend, shards: 1, onError: () => {} }),
      log: createLogger('test', 'silent'),
    })
    const open = await Promise.all(Array.from({ length: 4 }, () => exportAccount(owner.id, unused)))
    await expect(exportAccount(owner.id, unused)).rejects.toMatchObject({ code: 'overloaded' })
    await open[0]?.cancel()
    await (await exportAccount(owner.id, unused)).cancel()
    for (const stream of open.slice(1)) await stream.cancel()
    await expect(exportAccount(randomUUID(), unused)).rejects.toMatchObject({ code: 'not_found' })
  })
})
