import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  ABSENT_ID,
  type BadInput,
  CANARY,
  type Credential,
  event,
  STATUS_PATH,
} from '../testing/bad-inputs/bad-input.ts'
import { malformed, sizeAndType } from '../testing/bad-inputs/bodies.ts'
import { credentials } from '../testing/bad-inputs/credentials.ts'
import { deviceAndSessionIds, deviceFields } from '../testing/bad-inputs/devices.ts'
import { emailLinks } from '../testing/bad-inputs/email-links.ts'
import { queries, statusFields } from '../testing/bad-inputs/events.ts'
import { searches } from '../testing/bad-inputs/searches.ts'
import { statsQueries } from '../testing/bad-inputs/statistics.ts'
import { suppressionInputs } from '../testing/bad-inputs/suppressions.ts'
import { exportRequests, pathIds, userFields } from '../testing/bad-inputs/users.ts'
import { register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { FIELD_CODES } from './error-codes.ts'
import { problemSchema } from './problem.ts'

describe('bad input', () => {
  const releaser = useReleaser()
  let api: TestApi
  let bearer: Record<Credential, string | undefined>
  let rowsBefore: number
  beforeAll(async () => {
    api = await startTestApi(releaser)
    const { token } = await register(api.apiUrl, { email: 'owner@example.com' })
    bearer = {
      key: await api.createKey(
        'status:write:email',
        'status:read',
        'users:read',
        'suppressions:read',
        'suppressions:write',
        'stats:read',
      ),
      user: token,
      none: undefined,
    }
    rowsBefore = await countRows()
  })

  const countRows = async () =>
    (await api.database.pool.query('SELECT id FROM users UNION ALL SELECT id FROM outbound_messages')).rows
      .length

  async function send({
    method = 'POST',
    path = STATUS_PATH,
    credential = 'key',
    headers = {},
    body,
  }: BadInput) {
    const token = bearer[credential]
    return fetch(`${api.apiUrl}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        origin: 'https://app.example.com',
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
    ...searches,
    ...statsQueries,
    ...userFields,
    ...pathIds,
    ...deviceFields,
    ...deviceAndSessionIds,
    ...exportRequests,
    ...suppressionInputs,
    ...credentials,
    ...emailLinks,
  ])('refuses $name', async (input) => {
    const response = await send(input)
    const text = await response.text()
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const problem = problemSchema.parse(JSON.parse(text))
    expect({ status: response.status, error: problem.error }).toEqual({
      status: input.status,
      error: input.error,
    })
    for (const { code } of problem.errors) expect(FIELD_CODES).toHaveProperty(code)
    expect(problem.instance).toBe(response.headers.get('x-request-id'))
    expect(text).not.toContain(CANARY)
    if (input.pointer !== undefined) expect(problem.errors.map((e) => e.pointer)).toContain(input.pointer)
    expect(text).toContain(input.reason ?? '')
    // CORS is off unless CORS_ORIGINS is set.
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
    if (input.status === 401) expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/)
    if (input.status === 405) expect(response.headers.get('allow')).toBe('POST')
  })

  it('stores nothing of refused requests', async () => {
    expect(await api.listQueued()).toEqual([])
    expect(await countRows()).toBe(rowsBefore)
    expect((await api.database.pool.query('SELECT id FROM suppressions')).rows).toEqual([])
  })

  it('answers the same bytes for another user’s id as for an absent one', async () => {
    const other = await register(api.apiUrl, { email: 'other@example.com' })
    const read = async (id: string) => {
      const headers = { 'x-request-id': 'same', authorization: `Bearer ${bearer.user}` }
      return (await fetch(`${api.apiUrl}/api/v1/users/${id}/`, { headers })).text()
    }
    expect(await read(other.id)).toBe(await read(ABSENT_ID))
  })

  it('accepts unusual event ids and unknown fields', async () => {
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

  it('takes null for absent, and a time without seconds', async () => {
    const absent = ['user_id', 'error', 'timestamp', 'event_id', 'attempt', 'provider', 'metadata']
    const nulls = Object.fromEntries(absent.map((field) => [field, null]))
    for (const body of [event(nulls), event({ timestamp: '2026-01-29T06:00Z' })])
      expect((await send({ name: '', body, status: 202, error: '' })).status).toBe(202)
  })

  it.each([
    'application/json',
    'APPLICATION/JSON; charset=utf-8',
    'application/x-www-form-urlencoded',
    undefined,
  ])('reads JSON sent as %s', async (type) => {
    const response = await fetch(`${api.apiUrl}${STATUS_PATH}`, {
      method: 'POST',
      body: Buffer.from(JSON.stringify(event({}))),
      headers: { authorization: `Bearer ${bearer.key}`, ...(type !== undefined && { 'content-type': type }) },
    })
    expect(response.status).toBe(202)
  })
})
