import type { Device } from '@tidings/shared/device'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, readMe, register, type TestUser, withoutInstance } from '../testing/http.ts'
import { sendRaw } from '../testing/raw-http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const ABSENT = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'

const urlOf = ({ apiUrl }: TestApi, path = '', user = 'me') =>
  `${apiUrl}/api/v1/users/${user}/devices/${path}`
const put = (api: TestApi, user: TestUser, deviceId: string, token: string, more: object = {}) =>
  call<Device>(urlOf(api, `${deviceId}/`), {
    method: 'PUT',
    token: user.token,
    body: { platform: 'fcm', token, ...more },
  })
const remove = (api: TestApi, user: TestUser, deviceId: string) =>
  call(urlOf(api, `${deviceId}/`), { method: 'DELETE', token: user.token })
const list = async (api: TestApi, user: TestUser) =>
  (await call<Device[]>(urlOf(api), { token: user.token })).body.data
const listIds = async (api: TestApi, user: TestUser) =>
  (await list(api, user)).map(({ device_id }) => device_id)
const readPushToken = async (api: TestApi, user: TestUser) =>
  (await readMe(api.apiUrl, user.token)).body.data.push_token

let tokens = 0
const newToken = () => `token-${tokens++}`

describe('devices', () => {
  const releaser = useReleaser()
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser)
  })

  it('are registered, seen again, read and removed by their user', async () => {
    const user = await register(api.apiUrl)
    const token = newToken()
    const created = await put(api, user, 'phone', token, { app: 'com.example', environment: 'sandbox' })
    expect(created.status, created.text).toBe(201)
    expect(created.body.data).toEqual({
      device_id: 'phone',
      platform: 'fcm',
      token,
      app: 'com.example',
      environment: 'sandbox',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      last_seen_at: created.body.data.created_at,
    })
    await api.database.pool.query(
      "UPDATE devices SET created_at = created_at - interval '1 day', last_seen_at = last_seen_at - interval '1 day'",
    )
    const again = await put(api, user, 'phone', token)
    expect(again.status).toBe(200)
    expect(again.body.data).toMatchObject({ app: null, environment: null })
    const { created_at, last_seen_at } = again.body.data
    expect(Date.parse(last_seen_at) - Date.parse(created_at)).toBeGreaterThan(86_000_000)

    const other = newToken()
    const changed = await put(api, user, 'phone', other, { platform: 'web' })
    expect([changed.status, changed.body.data]).toMatchObject([
      200,
      { platform: 'web', token: other, created_at },
    ])
    expect(await list(api, user)).toEqual([changed.body.data])
    const one = await call(urlOf(api, 'phone', user.id), { token: user.token })
    expect(one.body.data).toEqual(changed.body.data)

    const removed = await remove(api, user, 'phone')
    expect([removed.status, removed.body.data]).toEqual([200, { device_id: 'phone' }])
    expect((await remove(api, user, 'phone')).status).toBe(404)
    expect((await call(urlOf(api, 'phone'), { token: user.token })).status).toBe(404)
    expect(await list(api, user)).toEqual([])
  })

  it('are read by services with users:read, and changed by their user only', async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const [reader, writer] = [await api.createKey('users:read'), await api.createKey('status:write:push')]
    await put(api, user, 'phone', newToken())
    for (const path of ['', 'phone/']) {
      const url = urlOf(api, path, user.id)
      expect((await call(url, { token: reader })).status).toBe(200)
      expect((await call(url, { token: writer })).status).toBe(403)
      expect((await call(url)).status).toBe(401)
      const [hidden, absent] = [
        await call(url, { token: other.token }),
        await call(urlOf(api, path, ABSENT), { token: other.token }),
      ]
      expect([hidden.status, withoutInstance(hidden.text)]).toEqual([404, withoutInstance(absent.text)])
    }
    const body = { platform: 'fcm', token: newToken() }
    for (const method of ['PUT', 'DELETE']) {
      const url = urlOf(api, 'phone/', user.id)
      const request = method === 'PUT' ? { method, body } : { method }
      expect((await call(url, { ...request, token: reader })).status).toBe(403)
      expect((await call(url, { ...request, token: other.token })).status).toBe(404)
    }
    expect((await call(urlOf(api, '', ABSENT), { token: reader })).status).toBe(404)
  })

  it('have any id of visible characters', async () => {
    const user = await register(api.apiUrl)
    const ids = ['a', '...', '%', 'A:b@c+d;e', 'é'.repeat(128), '😀'.repeat(128), 'Größe-1']
    for (const id of ids) {
      const reply = await put(api, user, encodeURIComponent(id), newToken())
      expect([reply.status, reply.body.data.device_id], reply.text).toEqual([201, id])
      expect((await call(urlOf(api, encodeURIComponent(id)), { token: user.token })).status).toBe(200)
    }
    expect(new Set(await listIds(api, user))).toEqual(new Set(ids))
  })

  it('never have an id that names another resource: the path is refused before the URL drops it', async () => {
    const user = await register(api.apiUrl)
    const ask = async (method: string, id: string) => {
      const head = `${method} /api/v1/users/me/devices/${id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`
      return (await sendRaw(api.port, [`${head}Authorization: Bearer ${user.token}\r\n\r\n`])).status
    }
    for (const id of ['..', '%2e%2e', '.%2E', '.', '%2e/', '../'])
      for (const method of ['DELETE', 'GET', 'PUT']) expect([id, await ask(method, id)]).toEqual([id, 404])
    expect((await readMe(api.apiUrl, user.token)).status).toBe(200)
  })

  it('are at most twenty of a user: the longest unseen goes, and never the one that is registered', async () => {
    const user = await register(api.apiUrl)
    for (let n = 0; n < 20; n++) await put(api, user, `device-${n}`, newToken())
    const sql =
      'UPDATE devices SET last_seen_at = now() + $2::interval WHERE user_id = $1 AND device_id = ANY($3)'
    await api.database.pool.query(sql, [user.id, '-1 day', ['device-7']])
    // All others look newer than the device that comes.
    const others = Array.from({ length: 20 }, (_, n) => `device-${n}`).filter((id) => id !== 'device-7')
    await api.database.pool.query(sql, [user.id, '1 day', others])
    expect((await put(api, user, 'new', newToken())).status).toBe(201)
    expect(new Set(await listIds(api, user))).toEqual(new Set([...others, 'new']))
  })

  it('give a token to the one that registers it last, of the same user or of another', async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const token = newToken()
    await put(api, user, 'phone', token)
    await put(api, user, 'phone-2', token)
    expect(await listIds(api, user)).toEqual(['phone-2'])
    expect((await put(api, other, 'mine', token)).status).toBe(201)
    expect(await list(api, user)).toEqual([])
    expect(await readPushToken(api, user)).toBeNull()
    expect(await readPushToken(api, other)).toBe(token)
  })

  it('tell a sender where to send, the most recently seen first', async () => {
    const [user, reader] = [await register(api.apiUrl), await api.createKey('users:read')]
    await put(api, user, 'tablet', newToken(), { platform: 'apns', environment: 'sandbox' })
    await put(api, user, 'phone', newToken())
    const ask = () => call(`${api.apiUrl}/api/v1/users/${user.id}/preferences/`, { token: reader })
    expect((await ask()).body.data).toMatchObject({
      deliverable: { push: true },
      devices: [
        { device_id: 'phone', platform: 'fcm' },
        { device_id: 'tablet', platform: 'apns', environment: 'sandbox' },
      ],
    })
    await remove(api, user, 'phone')
    await remove(api, user, 'tablet')
    expect((await ask()).body.data).toMatchObject({
      deliverable: { push: false },
      reasons: { push: 'no_push_token' },
      devices: [],
    })
  })

  describe('and push_token', () => {
    const change = (user: TestUser, body: object, path = '') =>
      call(`${api.apiUrl}/api/v1/users/me/${path}`, { method: 'PATCH', token: user.token, body })

    it('is the device default, and reads as the token seen last', async () => {
      const [first, phone, second] = [newToken(), newToken(), newToken()]
      const user = await register(api.apiUrl, { push_token: first })
      expect(await list(api, user)).toMatchObject([{ device_id: 'default', platform: null, token: first }])
      await put(api, user, 'phone', phone)
      expect(await readPushToken(api, user)).toBe(phone)
      const updated = await change(user, { push_token: second }, 'update_push_token/')
      expect(updated.body.data.push_token).toBe(second)
      expect(await listIds(api, user)).toEqual(['default', 'phone'])
      expect((await change(user, { push_token: null })).body.data.push_token).toBe(phone)
      expect(await listIds(api, user)).toEqual(['phone'])
      expect((await change(user, { name: 'New' })).body.data).toMatchObject({ push_token: phone })
    })

    it('keeps what is known of the device when the same token comes again', async () => {
      const [user, token] = [await register(api.apiUrl), newToken()]
      await put(api, user, 'default', token)
      await put(api, user, 'phone', newToken())
      expect((await change(user, { push_token: token })).body.data.push_token).toBe(token)
      expect(await list(api, user)).toMatchObject([{ device_id: 'default', platform: 'fcm' }, {}])
    })

    it('is taken from its other user by a change and by a registration', async () => {
      const token = newToken()
      const [one, two] = [await register(api.apiUrl, { push_token: token }), await register(api.apiUrl)]
      await readMe(api.apiUrl, one.token)
      await change(two, { push_token: token })
      expect(await readPushToken(api, one)).toBeNull()
      const three = await register(api.apiUrl, { push_token: token })
      expect(await readPushToken(api, two)).toBeNull()
      expect(await readPushToken(api, three)).toBe(token)
    })
  })

  it('of an erased user are gone', async () => {
    const user = await register(api.apiUrl, { push_token: newToken() })
    await call(`${api.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token: user.token })
    const { rows } = await api.database.pool.query('SELECT 1 FROM devices WHERE user_id = $1', [user.id])
    expect(rows).toEqual([])
  })
})

describeBackends('devices at two replicas', (kind) => {
  const releaser = useReleaser()
  let one: TestApi
  let two: TestApi
  let replicas: TestApi[]
  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    const stores = { database, backend: await createTestBackend(kind, releaser, database) }
    const variables = { JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }) }
    one = await startTestApi(releaser, variables, stores)
    two = await startTestApi(releaser, variables, stores)
    replicas = [one, two]
  })

  const replica = (n: number) => (n % 2 === 0 ? one : two)
  /** Below every cache lifetime: only a message can have told the other replica. */
  const soon = { timeoutMs: 8_000, intervalMs: 10 }

  const countDevices = async (token: string) =>
    (await one.database.pool.query('SELECT user_id FROM devices WHERE token = $1', [token])).rows

  it('change hands: both replicas show both users as they are', async () => {
    const token = newToken()
    const loser = await register(one.apiUrl, { push_token: token })
    const winner = await register(one.apiUrl)
    for (const api of [...replicas, ...replicas]) {
      expect(await readPushToken(api, loser)).toBe(token)
      expect(await readPushToken(api, winner)).toBeNull()
    }
    expect((await put(one, winner, 'phone', token)).status).toBe(201)
    for (const api of replicas) {
      await waitFor('the loss', async () => (await readPushToken(api, loser)) === null, soon)
      await waitFor('the gain', async () => (await readPushToken(api, winner)) === token, soon)
    }
  })

  it('registered for one token by many users at once end with one of them', async () => {
    const users = await Promise.all(Array.from({ length: 8 }, (_, n) => register(replica(n).apiUrl)))
    for (let round = 0; round < 3; round++) {
      const token = newToken()
      const replies = await Promise.all(users.map((user, n) => put(replica(n), user, 'phone', token)))
      for (const reply of replies) expect(reply.status, reply.text).toBeLessThan(300)
      const [holder, ...others] = await countDevices(token)
      expect(others).toEqual([])
      for (const user of users)
        for (const api of replicas)
          await waitFor(
            'the caches to agree',
            async () =>
              (await list(api, user)).some((device) => device.token === token) ===
              (user.id === holder.user_id),
            soon,
          )
    }
  })

  it('whose users swap tokens in every way at once do not deadlock', async () => {
    const users = await Promise.all(Array.from({ length: 4 }, (_, n) => register(replica(n).apiUrl)))
    const shared = users.map(() => newToken())
    const requests = Array.from({ length: 80 }, (_, n) => {
      const user = users[n % 4] as TestUser
      const token = shared[(n * 7 + Math.floor(n / 4)) % 4] as string
      if (n % 9 === 8) return () => remove(replica(n), user, 'phone')
      if (n % 5 === 4)
        return () =>
          call(`${replica(n).apiUrl}/api/v1/users/me/`, {
            method: 'PATCH',
            token: user.token,
            body: { push_token: token },
          })
      return () => put(replica(n), user, n % 3 === 0 ? 'tablet' : 'phone', token)
    })
    // A deadlock would get 503. So would more at once than the replicas have connections, on a busy machine.
    for (let from = 0; from < requests.length; from += 8) {
      const replies = await Promise.all(requests.slice(from, from + 8).map((send) => send()))
      for (const reply of replies) expect([200, 201, 404], reply.text).toContain(reply.status)
    }
    for (const token of shared) expect((await countDevices(token)).length).toBeLessThanOrEqual(1)
  })

  it('registered twenty-one at once by one user are twenty', async () => {
    const user = await register(one.apiUrl)
    const replies = await Promise.all(
      Array.from({ length: 21 }, (_, n) => put(replica(n), user, `device-${n}`, newToken())),
    )
    for (const reply of replies) expect(reply.status, reply.text).toBe(201)
    for (const api of replicas)
      await waitFor('twenty devices', async () => (await list(api, user)).length === 20, soon)
  })
})
