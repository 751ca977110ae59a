import { generateSigningKey } from '@tidings/shared/signing-keys'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'
import { type Cli, createCli } from '../../testing/cli-process.ts'

const PASSWORD = 'correct horse battery 7 staple'
const NEW_PASSWORD = 'another long passphrase 9 words'
const WRONG_PASSWORDS = 3
const ELSEWHERE = '192.0.2.7'

interface LoggedIn {
  id: string
  email: string
  token: string
}

const registrationSchema = z.object({
  data: z.object({ user: z.object({ id: z.string() }), token: z.string() }),
})
const reasonsSchema = z.object({
  data: z.object({ reasons: z.object({ email: z.string().nullable() }) }),
})

let registered = 0

describeBackends('tidings users beside two running APIs', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab
  let cli: Cli
  let urls: string[]
  let user: LoggedIn

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
    const common = { ...lab.cli.env, PASSWORD_ITERATIONS: '1000' }
    const JWT_KEYS = JSON.stringify({ keys: [generateSigningKey()] })
    urls = await Promise.all(
      ['api-1', 'api-2'].map(async (name) => {
        const port = await findFreePort()
        const api = await spawnApp({
          name,
          main: 'apps/api/src/main.ts',
          baseEnv: { PATH: process.env.PATH },
          env: {
            ...common,
            JWT_KEYS,
            PORT: String(port),
            HOST: '127.0.0.1',
            LOG_LEVEL: 'silent',
            TRUSTED_PROXY_HOPS: '1',
            RATE_LIMIT_LOGIN_PER_IP: '1000',
            RATE_LIMIT_LOGIN_PER_ACCOUNT_IP: '1000',
            RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT: String(WRONG_PASSWORDS),
          },
          readyUrl: `http://127.0.0.1:${port}/health/ready`,
        })
        releaser.onRelease(async () => void (await api.stop()))
        await api.waitUntilReady()
        return `http://127.0.0.1:${port}`
      }),
    )
    cli = createCli({
      ...(common as Record<string, string>),
      RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT: String(WRONG_PASSWORDS),
      API_URL: urls[0] ?? '',
    })
  })

  beforeEach(async () => {
    const email = `user-${registered++}@example.com`
    const answer = await send(urls[0] ?? '', '/users/', { body: { name: 'Ada', email, password: PASSWORD } })
    const { data } = registrationSchema.parse(await answer.json())
    user = { id: data.user.id, email, token: data.token }
    // Both APIs have the user and the session in memory.
    expect(await statusesOf(user.token)).toEqual([200, 200])
  })

  const send = (
    url: string,
    path: string,
    { body, token, from = '127.0.0.1' }: { body?: object; token?: string; from?: string },
  ) =>
    fetch(`${url}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        connection: 'close',
        'content-type': 'application/json',
        'x-forwarded-for': from,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  const statusesOf = (token: string) =>
    Promise.all(urls.map(async (url) => (await send(url, '/users/me/', { token })).status))
  /**
   * Redis hands a message to every API before the command ends. PostgreSQL hands it over in a process of each
   * connection, which a busy machine may run a moment later.
   */
  async function answerBoth<Answer>(wanted: Answer[], ask: () => Promise<Answer[]>): Promise<void> {
    if (kind === 'redis') return expect(await ask()).toEqual(wanted)
    let found: Answer[] = []
    await waitFor(
      'both APIs to hear of the change',
      async () => {
        found = await ask()
        return JSON.stringify(found) === JSON.stringify(wanted)
      },
      { explain: () => JSON.stringify(found), intervalMs: 5, timeoutMs: 8_000 },
    )
  }
  const refuseOldToken = () => answerBoth([401, 401], () => statusesOf(user.token))
  const logIn = async (password: string, from?: string, url = urls[0] ?? '') => {
    const body = { email: user.email, password }
    const answer = await send(url, '/users/login/', { body, ...(from !== undefined && { from }) })
    return answer.status
  }
  /** Runs the command as a process, as a shell does. */
  const run = (...args: string[]) => cli.start('users', ...args).ended
  /** The reason why each API would not send the user an e-mail. */
  const reasons = async (key: string) =>
    Promise.all(
      urls.map(async (url) => {
        const answer = await send(url, `/users/${user.id}/preferences/`, { token: key })
        return reasonsSchema.parse(await answer.json()).data.reasons.email
      }),
    )

  test('deactivate ends the tokens on both at once, and both say so to senders; reactivate undoes it', async () => {
    const made = await cli.run('service-keys', 'create', 'email', '--scope', 'users:read', '-o', 'json')
    const { key } = JSON.parse(made.stdout)
    await answerBoth([null, null], () => reasons(key))
    expect(await run('deactivate', user.email, '--yes')).toMatchObject({ exitCode: 0 })
    await refuseOldToken()
    await answerBoth(['inactive', 'inactive'], () => reasons(key))
    expect(await logIn(PASSWORD)).toBe(401)
    expect(await run('reactivate', user.email)).toMatchObject({ exitCode: 0 })
    await answerBoth([null, null], () => reasons(key))
    expect(await logIn(PASSWORD)).toBe(200)
    await refuseOldToken()
  })

  test('set-password ends the tokens on both at once; only the new password logs in', async () => {
    const set = await cli.pipe(`${NEW_PASSWORD}\n`, 'users', 'set-password', user.id, '--stdin', '--yes')
    expect(set).toMatchObject({ exitCode: 0, stdout: '' })
    await refuseOldToken()
    expect(await logIn(PASSWORD)).toBe(401)
    expect(await logIn(NEW_PASSWORD)).toBe(200)
  })

  test('end-sessions ends the tokens on both at once, and the password stays', async () => {
    const ended = await run('end-sessions', user.id, '--yes', '-o', 'json')
    expect(JSON.parse(ended.stdout)).toEqual({ id: user.id, ended_sessions: 1 })
    await refuseOldToken()
    expect(await logIn(PASSWORD)).toBe(200)
  })

  test('erase ends the tokens on both at once', async () => {
    expect(await run('erase', user.id, '--yes', '--settle', '0s')).toMatchObject({ exitCode: 0 })
    await refuseOldToken()
  })

  test('unlock lets the user log in again on both, from networks known and unknown', async () => {
    for (const from of ['127.0.0.1', ELSEWHERE])
      for (const url of urls)
        for (let n = 0; n <= WRONG_PASSWORDS; n++) await logIn('wrong password 1', from, url)
    const logIns = () =>
      Promise.all([undefined, ELSEWHERE].flatMap((from) => urls.map((url) => logIn(PASSWORD, from, url))))
    expect(await logIns()).toEqual([429, 429, 429, 429])
    const { locked } = JSON.parse((await run('show', user.id, '-o', 'json')).stdout)
    expect(locked).toBe(kind === 'redis' ? true : null)
    const unlocked = await run('unlock', user.email)
    expect(unlocked).toMatchObject({ exitCode: 0 })
    expect(unlocked.stderr).toContain(kind === 'redis' ? 'counters removed' : 'Without Redis')
    await answerBoth([200, 200, 200, 200], logIns)
    const shown = JSON.parse((await run('show', user.id, '-o', 'json')).stdout)
    expect(shown.locked).toBe(kind === 'redis' ? false : null)
  })
})
