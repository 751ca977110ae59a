import { randomBytes } from 'node:crypto'
import { createServiceKey } from '@tidings/db/operators/service-keys'
import { OUTBOUND_LINKS } from '@tidings/shared/outbound-message'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { startTcpProxy } from '@tidings/stack/testing/tcp-proxy'
import { createTestBackend, createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import type { LoginResult } from './sessions/login-result.ts'
import { type CallOptions, call } from './testing/http.ts'
import { HOOK_VARIABLES, makeHook, postToHook, signRequest } from './testing/test-hooks.ts'

const releaser = useReleaser()

it('logs no password, token, key, secret, address or push token, also during errors', async () => {
  const database = await createTestDatabase(releaser)
  await createTestBackend('postgres', releaser, database)
  const made = await createServiceKey(database.database, 'canary', [
    'status:write:email',
    'status:read',
    'users:read',
  ])
  if (made.outcome !== 'created') throw new Error('No key was made')
  const hook = await makeHook(database.database, 'postmark')
  const proxy = await startTcpProxy(database.url, releaser)
  const viaProxy = new URL(database.url)
  viaProxy.port = String(proxy.port)
  const port = await findFreePort()
  const signingKey = generateSigningKey()
  const api = await spawnApp({
    name: 'api',
    main: 'apps/api/src/main.ts',
    baseEnv: { PATH: process.env.PATH },
    env: {
      DATABASE_URL: viaProxy.href,
      QUEUE_BACKEND: 'postgres',
      PORT: String(port),
      HOST: '127.0.0.1',
      LOG_LEVEL: 'trace',
      PASSWORD_ITERATIONS: '1000',
      JWT_KEYS: JSON.stringify({ keys: [signingKey] }),
      ...HOOK_VARIABLES,
    },
    readyUrl: `http://127.0.0.1:${port}/health/ready`,
  })
  releaser.add(api, () => api.stop())
  await api.waitUntilReady()

  const canary = (what: string) => `${what}${randomBytes(9).toString('hex')}`
  const email = `${canary('mail')}@example.com`
  const password = canary('Password-')
  const pushToken = canary('push-token-')
  const deviceToken = canary('device-token-')
  const wrongPassword = canary('wrong-')
  const name = canary('Name ')
  const send = (path: string, options: CallOptions) =>
    call<LoginResult>(`http://127.0.0.1:${port}/api/v1${path}`, {
      ...options,
      // Stopping the API waits up to 4 s for requests on open connections.
      headers: { connection: 'close' },
    })
  const linkToken = canary('link-token-')
  const newEmail = `${canary('new-mail')}@example.com`
  const open = async (url: string, headers: Record<string, string> = {}, form?: Record<string, string>) =>
    (
      await fetch(url, {
        headers: { connection: 'close', ...headers },
        ...(form && { method: 'POST', body: new URLSearchParams(form) }),
      })
    ).text()
  const registration = { name, email, password, push_token: pushToken }

  const registered = await send('/users/', { body: registration })
  expect(registered.status).toBe(201)
  const { user, token, refresh_token } = registered.body.data
  const status = { notification_id: canary('n-'), status: 'failed', error: canary('error-') }
  const misuse = async () => {
    await send('/users/', { body: registration })
    await send('/users/', { body: { ...registration, role: 'admin', email: `${email} ` } })
    await send('/users/login/', { body: { email, password: wrongPassword } })
    await send('/users/login/', { body: { email, password } })
    await send(`/users/${user.id}/?token=${token}`, { token })
    await send(`/users/${user.id}/`, { token: `${token}x` })
    await send(`/users/${user.id}/`, {
      token,
      method: 'PATCH',
      body: { push_token: canary('push-token-') },
    })
    const device = { token, method: 'PUT', body: { platform: 'fcm', token: deviceToken, app: name } }
    await send('/users/me/devices/phone/', device)
    await send('/users/me/devices/phone/', { ...device, body: { ...device.body, role: deviceToken } })
    await send(`/users/me/devices/${deviceToken}/`, { token })
    await send('/auth/refresh/', { body: { refresh_token } })
    await send('/auth/refresh/', { body: { refresh_token: `${refresh_token}x` } })
    await send('/email/status/', { token: made.key, body: status })
    await send('/push/status/', { token: made.key, body: status })
    await send('/users/', { token: made.key })
    await send('/auth/password-reset/', { body: { email } })
    await send('/auth/password-reset/', { body: { email: `${email} ` } })
    await send('/auth/password-reset/confirm/', { body: { token: linkToken, password } })
    await send(`/auth/email-verification/confirm/?token=${linkToken}`, { body: { token: linkToken } })
    await send('/auth/email-verification/', { token, method: 'POST' })
    await send('/users/me/email/', { token, body: { email: newEmail, password } })
    await send('/users/me/email/', { token, body: { email: newEmail, password: wrongPassword } })
    for (const use of ['confirm', 'undo'])
      await send(`/auth/email-change/${use}/`, { body: { token: linkToken } })
    for (const { path } of Object.values(OUTBOUND_LINKS)) {
      const url = `http://127.0.0.1:${port}${path}`
      await open(`${url}?token=${linkToken}`)
      await open(`${url}?token=${linkToken}%zz`, { referer: `${url}?token=${linkToken}` })
      await open(url, {}, { token: linkToken, password })
    }
    await open(`http://127.0.0.1:${port}/dev/mailbox/?token=${linkToken}`)
    const report = signRequest(hook, { outcome: 'hard_bounce', recipient: email })
    for (const headers of [report.headers, { authorization: `Basic ${hook.secret}` }])
      await postToHook(`http://127.0.0.1:${port}`, {
        ...report,
        headers: { ...headers, connection: 'close' },
      })
    await send(`/events/?recipient=${email}`, { token: made.key })
    await send(`/events/?recipient=${pushToken}&type=push&limit=0`, { token: made.key })
    await send(`/events/?notification_id=${email}`, { token: made.key })
  }
  await misuse()
  const metrics = await open(`http://127.0.0.1:${port}/metrics`)
  // Without the database every request fails, and errors are what quotes values.
  await proxy.cut()
  await misuse()
  await api.stop()

  const log = api.output()
  const secrets = {
    email,
    newEmail,
    'token of a link': linkToken,
    password,
    wrongPassword,
    pushToken,
    deviceToken,
    name,
    'error text': status.error,
    'access token': token.split('.')[2] ?? token,
    'refresh token': refresh_token,
    'service key': made.key,
    'secret of a hook': hook.secret,
    'key of the secrets of hooks': HOOK_VARIABLES.HOOK_SECRETS_KEY,
    'signing key': signingKey.d,
  }
  expect(log).toContain('"msg":"request"')
  expect(log).toContain('"route":"/reset-password"')
  expect(metrics).toContain('route="/reset-password"')
  for (const [what, secret] of Object.entries(secrets))
    for (const [where, text] of Object.entries({ log, metrics }))
      expect(text.includes(secret), `${what} in the ${where}`).toBe(false)
})
