import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { startTestApi, TEST_PASSWORD, type TestApi } from '../testing/test-api.ts'
import { problemSchema } from './problem.ts'

/** Stands for whatever a caller sends; no answer may repeat it. */
const CANARY = 'canary-4711'
const ABSENT_ID = '00000000-0000-4000-8000-000000000000'
const STATUS = '/api/v1/email/status/'
const BATCH = '/api/v1/email/status/batch/'
const USERS = '/api/v1/users/'

type Credential = 'key' | 'user' | 'none'

interface BadInput {
  name: string
  method?: string
  path?: string
  credential?: Credential
  headers?: Record<string, string>
  /** A string or bytes as they are, anything else as JSON. Left out: no body. */
  body?: unknown
  status: number
  error: string
  /** A field that must be named among `errors`. */
  pointer?: string
  /** What the answer must say. */
  reason?: string
}

const event = (fields: object) => ({ notification_id: CANARY, status: 'sent', ...fields })
const person = (fields: object) => ({
  name: CANARY,
  email: 'someone@example.com',
  password: TEST_PASSWORD,
  ...fields,
})
const nested = (levels: number): unknown => (levels === 0 ? CANARY : { a: nested(levels - 1) })
const invalid = { status: 400, error: 'validation_failed' } as const

const malformed: BadInput[] = [
  { name: 'malformed JSON', body: `{"notification_id": "${CANARY}",`, status: 400, error: 'malformed_json' },
  { name: 'an empty body', body: '', status: 400, error: 'malformed_json' },
  { name: 'no body', status: 400, error: 'malformed_json' },
  { name: 'blanks only', body: '   ', status: 400, error: 'malformed_json' },
  { name: 'form fields', body: `notification_id=${CANARY}`, status: 400, error: 'malformed_json' },
  {
    name: 'invalid UTF-8',
    body: Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]),
    status: 400,
    error: 'invalid_encoding',
  },
  { name: 'null', body: 'null', ...invalid },
  { name: 'a list', body: '[]', ...invalid },
  { name: 'text', body: '"x"', ...invalid },
  { name: 'missing fields', body: '{}', ...invalid, pointer: '/notification_id' },
  { name: 'a wrong type', body: event({ notification_id: 5 }), ...invalid, pointer: '/notification_id' },
  { name: 'NUL in text', body: event({ notification_id: `${CANARY}\0` }), ...invalid },
  { name: 'NUL in a key', body: event({ [`${CANARY}\0`]: 1 }), ...invalid },
  { name: 'NUL in metadata', body: event({ metadata: { a: [`${CANARY}\0`] } }), ...invalid },
  { name: 'a lone surrogate', body: `{"notification_id": "${CANARY}\\ud800", "status": "sent"}`, ...invalid },
  { name: 'nesting over 32', body: event({ metadata: nested(40) }), ...invalid },
  { name: 'nesting that fills the body', body: '['.repeat(30_000) + ']'.repeat(30_000), ...invalid },
  { name: '__proto__', body: `{"notification_id": "n", "status": "sent", "__proto__": {}}`, ...invalid },
  { name: 'constructor', body: event({ metadata: { constructor: {} } }), ...invalid },
  { name: '1e400', body: '{"notification_id": "n", "status": "sent", "attempt": 1e400}', ...invalid },
  { name: 'an int over 2^31-1', body: event({ attempt: 2 ** 31 }), ...invalid, pointer: '/attempt' },
  { name: 'an over-long id', body: event({ notification_id: CANARY.repeat(40) }), ...invalid },
  { name: 'metadata over 4 KB', body: event({ metadata: { a: CANARY.repeat(500) } }), ...invalid },
]

const sizeAndType: BadInput[] = [
  { name: 'over 64 KB', body: event({ error: 'x'.repeat(70_000) }), status: 413, error: 'payload_too_large' },
  {
    name: 'over 1 MB on batch',
    path: BATCH,
    body: { events: [event({ error: 'x'.repeat(1_100_000) })] },
    status: 413,
    error: 'payload_too_large',
  },
  {
    name: 'gzip',
    headers: { 'content-encoding': 'gzip' },
    body: event({}),
    status: 415,
    error: 'unsupported_media_type',
  },
  ...['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/jsonx', 'x'].map(
    (type): BadInput => ({
      name: `content type ${type}`,
      headers: { 'content-type': type },
      body: event({}),
      status: 415,
      error: 'unsupported_media_type',
    }),
  ),
]

const statusFields: BadInput[] = [
  ...[
    '+010000-01-01T00:00:00Z',
    '10000-01-01T00:00:00Z',
    '-000001-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    'infinity',
    'now',
    '2026-02-30T00:00:00Z',
    '2026-01-01T00:00:00',
    '2016-12-31T23:59:60Z',
    '2026-01-01',
    new Date(Date.now() + 25 * 60 * 60 * 1000).toISOString(),
    '',
    0,
  ].map(
    (timestamp): BadInput => ({
      name: `timestamp ${timestamp}`,
      body: event({ timestamp }),
      ...invalid,
      pointer: '/timestamp',
    }),
  ),
  { name: 'an unknown status', body: event({ status: CANARY }), status: 400, error: 'invalid_status' },
  { name: 'a status in capitals', body: event({ status: 'SENT' }), status: 400, error: 'invalid_status' },
  {
    name: 'an error of an unknown class',
    body: event({ status: 'failed', error: { class: 'other', message: 'No.' } }),
    ...invalid,
    pointer: '/error',
    reason: 'class (transient, permanent, config)',
  },
  { name: 'failed without error', body: event({ status: 'failed' }), status: 400, error: 'missing_error' },
  {
    name: 'bounced, error null',
    body: event({ status: 'bounced', error: null }),
    status: 400,
    error: 'missing_error',
  },
  {
    name: 'failed, error empty',
    body: event({ status: 'failed', error: '' }),
    ...invalid,
    pointer: '/error',
  },
  {
    name: 'another type',
    path: '/api/v1/sms/status/',
    body: event({}),
    status: 400,
    error: 'invalid_notification_type',
  },
  { name: 'a user id that is none', body: event({ user_id: CANARY }), ...invalid, pointer: '/user_id' },
  { name: 'an empty batch', path: BATCH, body: { events: [] }, ...invalid, pointer: '/events' },
  {
    name: '501 events',
    path: BATCH,
    body: { events: Array(501).fill(event({})) },
    ...invalid,
    pointer: '/events',
  },
  { name: 'a batch that is an event', path: BATCH, body: event({}), ...invalid, pointer: '/events' },
  {
    name: 'an over-long Idempotency-Key',
    headers: { 'idempotency-key': 'k'.repeat(129) },
    body: event({}),
    ...invalid,
  },
  {
    name: 'an Idempotency-Key that leaves no room for the place in the batch',
    path: BATCH,
    headers: { 'idempotency-key': 'k'.repeat(125) },
    body: { events: [event({})] },
    ...invalid,
  },
  ...['.', '..'].map(
    (notification_id): BadInput => ({
      name: `notification id ${notification_id}`,
      body: { notification_id, status: 'sent' },
      ...invalid,
      pointer: '/notification_id',
    }),
  ),
  { name: 'NUL beside the events', path: BATCH, body: { events: [event({})], note: '\0' }, ...invalid },
]

const forgedCursor = (ms: number) => Buffer.from(`${ms} ${ABSENT_ID}`).toString('base64url')
const queries: BadInput[] = [
  ...[253_402_300_800_000, -1, -62_135_596_800_001, 999_999_999_999_999].map(
    (ms): BadInput => ({
      name: `a list cursor at ${ms}`,
      method: 'GET',
      path: `${USERS}?cursor=${forgedCursor(ms)}`,
      credential: 'key',
      ...invalid,
      pointer: '/cursor',
    }),
  ),
  ...[
    'from=0000-01-01T00:00:00Z',
    'from=0001-01-01T00:00:00%2B14:00',
    'to=9999-12-31T23:59:59-12:00',
    'to=yesterday',
  ].map(
    (query): BadInput => ({
      name: `history ${query}`,
      method: 'GET',
      path: `/api/v1/status/history/?${query}`,
      credential: 'user',
      ...invalid,
    }),
  ),
]

const register = { path: USERS, credential: 'none' } as const
const userFields: BadInput[] = [
  ...['role', 'is_staff', 'is_superuser', 'id'].map(
    (field): BadInput => ({
      ...register,
      name: `${field} on register`,
      body: person({ [field]: CANARY }),
      ...invalid,
    }),
  ),
  {
    name: 'is_staff on login',
    path: '/api/v1/users/login/',
    credential: 'none',
    body: { email: 'owner@example.com', password: TEST_PASSWORD, is_staff: true },
    ...invalid,
  },
  {
    name: 'role on PATCH',
    method: 'PATCH',
    path: '/api/v1/users/me/',
    credential: 'user',
    body: { role: CANARY },
    ...invalid,
  },
  ...['OWNER@example.com', 'owner@EXAMPLE.com'].map(
    (email): BadInput => ({
      ...register,
      name: `${email}, a case variant of one that is taken`,
      body: person({ email }),
      status: 409,
      error: 'email_taken',
    }),
  ),
  ...[
    `${CANARY}İ@example.com`,
    'аdmin@example.com',
    `${'a'.repeat(250)}@example.com`,
    `"a b"@example.com`,
    CANARY,
    '',
  ].map(
    (email): BadInput => ({
      ...register,
      name: `e-mail ${email.slice(0, 30)}`,
      body: person({ email }),
      ...invalid,
      pointer: '/email',
    }),
  ),
  ...['short', 'x'.repeat(1025), 'password123', 'someone@example.com', CANARY].map(
    (password): BadInput => ({
      ...register,
      name: `password ${password.slice(0, 20)}`,
      body: person({ password }),
      ...invalid,
      pointer: '/password',
    }),
  ),
]

const pathIds: BadInput[] = [
  'x',
  '1',
  `{${ABSENT_ID}}`,
  '%00',
  '%zz',
  '%C0%AF',
  `${ABSENT_ID}%00`,
  ABSENT_ID,
].flatMap((id) =>
  (['user', 'key'] as const).map((credential) => ({
    name: `id ${id} in the path, as ${credential}`,
    method: 'GET',
    path: `/api/v1/users/${id}/`,
    credential,
    status: 404,
    error: 'not_found',
  })),
)

const credentials: BadInput[] = [
  { name: 'no credential', credential: 'none', body: event({}), status: 401, error: 'unauthorized' },
  ...[
    'Bearer',
    'Bearer ',
    'Bearer tdk_unknown',
    `Bearer ${CANARY}`,
    'Basic dGRrX3g6eA==',
    'Bearer a b',
    'tdk_x',
  ].map(
    (authorization): BadInput => ({
      name: `Authorization: ${authorization}`,
      credential: 'none',
      headers: { authorization },
      body: event({}),
      status: 401,
      error: 'unauthorized',
    }),
  ),
  {
    name: 'a user who reports a status',
    credential: 'user',
    body: event({}),
    status: 403,
    error: 'forbidden',
    reason: 'This needs a service key with the scope status:write:email.',
  },
  {
    name: 'a key where a person is needed',
    method: 'GET',
    path: '/api/v1/auth/sessions/',
    status: 403,
    error: 'forbidden',
  },
  // What comes first in the order of checks decides.
  {
    name: 'an unsupported method before all',
    method: 'PUT',
    credential: 'none',
    body: '{',
    status: 405,
    error: 'method_not_allowed',
  },
  ...['GET', 'PATCH', 'DELETE'].map(
    (method): BadInput => ({
      name: `${method} of the login, which is no user`,
      method,
      path: '/api/v1/users/login/',
      credential: method === 'GET' ? 'none' : 'user',
      status: 405,
      error: 'method_not_allowed',
    }),
  ),
  {
    name: 'no credential before a bad content type',
    credential: 'none',
    headers: { 'content-type': 'text/plain' },
    body: '{',
    status: 401,
    error: 'unauthorized',
  },
  {
    name: 'a bad content type before size',
    headers: { 'content-type': 'text/plain' },
    body: 'x'.repeat(70_000),
    status: 415,
    error: 'unsupported_media_type',
  },
  { name: 'size before JSON', body: 'x'.repeat(70_000), status: 413, error: 'payload_too_large' },
]

describe('bad input', () => {
  const releaser = useReleaser()
  let api: TestApi
  let bearer: Record<Credential, string | undefined>
  let usersBefore: number
  beforeAll(async () => {
    api = await startTestApi(releaser)
    const { token } = await api.registerUser('owner@example.com')
    bearer = { key: await api.createKey('status:write:email', 'users:read'), user: token, none: undefined }
    usersBefore = await countUsers()
  })

  const countUsers = async () => (await api.database.pool.query('SELECT id FROM users')).rows.length

  async function send({ method = 'POST', path = STATUS, credential = 'key', headers = {}, body }: BadInput) {
    const token = bearer[credential]
    return fetch(`${api.apiUrl}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body !== undefined && {
        body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      }),
    })
  }

  it.each([
    ...malformed,
    ...sizeAndType,
    ...statusFields,
    ...queries,
    ...userFields,
    ...pathIds,
    ...credentials,
  ])('is refused: $name', async (input) => {
    const response = await send(input)
    const text = await response.text()
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const problem = problemSchema.parse(JSON.parse(text))
    expect({ status: response.status, error: problem.error }).toEqual({
      status: input.status,
      error: input.error,
    })
    expect(problem.instance).toBe(response.headers.get('x-request-id'))
    expect(text).not.toContain(CANARY)
    if (input.pointer !== undefined) expect(problem.errors.map((e) => e.pointer)).toContain(input.pointer)
    expect(text).toContain(input.reason ?? '')
    if (input.status === 401) expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/)
    if (input.status === 405) expect(response.headers.get('allow')).toBe('POST')
  })

  it('stores nothing of it', async () => {
    expect(await api.listQueued()).toEqual([])
    expect(await countUsers()).toBe(usersBefore)
  })

  it('gives another user’s id the answer of an absent one, byte for byte', async () => {
    const other = await api.registerUser('other@example.com')
    const read = async (id: string) => {
      const headers = { 'x-request-id': 'same', authorization: `Bearer ${bearer.user}` }
      return (await fetch(`${api.apiUrl}/api/v1/users/${id}/`, { headers })).text()
    }
    expect(await read(other.id)).toBe(await read(ABSENT_ID))
  })

  it('accepts what only looks odd', async () => {
    const ids = ['active', 'meta', 'a:b', '123', 'é'.repeat(128)]
    for (const event_id of ids) {
      const response = await send({
        name: '',
        body: event({ event_id, made_up: true }),
        status: 202,
        error: '',
      })
      expect(response.status).toBe(202)
    }
    expect((await api.listQueued()).map((queued) => queued.event_id).sort()).toEqual(ids.sort())
  })

  it.each([
    'application/json',
    'APPLICATION/JSON; charset=utf-8',
    'application/x-www-form-urlencoded',
    undefined,
  ])('reads JSON sent as %s', async (type) => {
    const response = await fetch(`${api.apiUrl}${STATUS}`, {
      method: 'POST',
      body: Buffer.from(JSON.stringify(event({}))),
      headers: { authorization: `Bearer ${bearer.key}`, ...(type !== undefined && { 'content-type': type }) },
    })
    expect(response.status).toBe(202)
  })
})
