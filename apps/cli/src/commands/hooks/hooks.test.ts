import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findHook } from '@tidings/db/operators/hooks'
import { makeSendgridKeys } from '@tidings/providers/sendgrid/sign'
import { openCredentials } from '@tidings/shared/hook'
import {
  createTestDatabase,
  databaseVariables,
  makeTestFolder,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cli, createCli, linesOf } from '../../testing/cli-process.ts'

const SECRETS_KEY = 'the key of the secrets of hooks in tests'
const API_URL = 'https://api.example.com'
const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:mail'
const { publicKey: PUBLIC_KEY } = makeSendgridKeys()
const MAILGUN_SECRET = 'a-signing-key-of-mailgun'

describe('tidings hooks', () => {
  const releaser = useReleaser()
  let db: TestDatabase
  let variables: Record<string, string>
  let cli: Cli

  beforeAll(async () => {
    db = await createTestDatabase(releaser)
    variables = { ...databaseVariables(db), TIDINGS_OPERATOR: 'ada', QUEUE_BACKEND: 'postgres', API_URL }
    cli = createCli({ ...variables, HOOK_SECRETS_KEY: SECRETS_KEY })
  })
  beforeEach(() => query('TRUNCATE hooks, operator_audit'))

  const query = async (sql: string) => (await db.database.pool.query(sql)).rows
  const audit = () => query('SELECT actor, action, selector, result FROM operator_audit ORDER BY id')
  const run = (...args: string[]) => cli.run('hooks', ...args)
  const createMailgun = (name: string) =>
    cli.pipe(
      `${MAILGUN_SECRET}\n`,
      'hooks',
      'create',
      'mailgun',
      '--name',
      name,
      '--secret-stdin',
      '-o',
      'json',
    )
  /** What verifies the requests of a hook, as the API opens it. */
  const open = async (id: string) => {
    const hook = await findHook(db.database, id)
    if (hook === undefined) throw new Error('There is no such hook')
    return openCredentials(SECRETS_KEY, id, hook.credentials)
  }

  test('create prints the URL alone on stdout, and says what to do at the provider', async () => {
    const { exitCode, stdout, stderr } = await run(
      'create',
      'sendgrid',
      '--name',
      'sg',
      '--public-key',
      PUBLIC_KEY,
    )
    expect(exitCode, stderr).toBe(0)
    expect(stdout).toMatch(/^https:\/\/api\.example\.com\/hooks\/sendgrid\/[0-9a-f]{32}\n$/)
    expect(stderr).toContain('Event Webhook')
    expect(stderr).toContain('docs/providers/sendgrid.md')
  })

  test('create -o json prints id, provider, name and url, -o id the id alone', async () => {
    const { stdout } = await run('create', 'ses', '--name', 'ses', '--topic-arn', TOPIC, '-o', 'json')
    const { id, ...rest } = JSON.parse(stdout)
    expect(rest).toEqual({ provider: 'ses', name: 'ses', url: `${API_URL}/hooks/ses/${id}` })
    expect(await open(id)).toEqual({ secrets: [], topicArns: [TOPIC] })
    const byId = await run(
      'create',
      'ses',
      '--name',
      'ses-2',
      '--topic-arn',
      TOPIC,
      '--topic-arn',
      `${TOPIC}-2`,
      '-o',
      'id',
    )
    expect(await open(linesOf(byId.stdout)[0] ?? '')).toEqual({
      secrets: [],
      topicArns: [TOPIC, `${TOPIC}-2`],
    })
  })

  test('a public key is also read from a file', async () => {
    const file = join(await makeTestFolder(releaser), 'key.pem')
    await writeFile(file, `${PUBLIC_KEY}\n`)
    const { stdout } = await run('create', 'sendgrid', '--name', 'sg', '--public-key', `@${file}`, '-o', 'id')
    expect(await open(linesOf(stdout)[0] ?? '')).toEqual({ secrets: [PUBLIC_KEY], topicArns: [] })
    expect(await run('create', 'sendgrid', '--name', 'b', '--public-key', '@/absent')).toMatchObject({
      exitCode: 3,
    })
  })

  test('a secret is stored encrypted, and shown nowhere', async () => {
    const made = await createMailgun('mg')
    const { id } = JSON.parse(made.stdout)
    expect(await open(id)).toEqual({ secrets: [MAILGUN_SECRET], topicArns: [] })
    const outputs = await Promise.all([
      run('list', '-o', 'json'),
      run('show', 'mg'),
      run('show', id, '-o', 'json'),
    ])
    const seen = JSON.stringify([made, outputs, await query('SELECT * FROM hooks'), await audit()])
    expect(seen).not.toContain(MAILGUN_SECRET)
    expect(seen).not.toContain(SECRETS_KEY)
  })

  test('Postmark gets a password in the URL, shown once', async () => {
    const { stdout, stderr } = await run('create', 'postmark', '--name', 'pm')
    const [, password = '', id = ''] =
      /^https:\/\/tidings:([0-9a-f]{48})@api\.example\.com\/hooks\/postmark\/([0-9a-f]{32})\n$/.exec(
        stdout,
      ) ?? []
    expect(await open(id)).toEqual({ secrets: [password], topicArns: [] })
    expect(stderr).toContain('the only time')
    expect(JSON.stringify([await run('show', 'pm'), await query('SELECT * FROM hooks')])).not.toContain(
      password,
    )
  })

  test.each(['sendgrid', 'ses', 'postmark', 'mailgun', 'resend', 'twilio'])(
    'a trial of %s has a key of its own, and says how to send traffic to it',
    async (provider) => {
      const { stdout, stderr } = await run('create', provider, '--name', 'try', '--trial')
      expect(stdout, stderr).toContain(`/hooks/${provider}/`)
      expect(stderr).toContain(`tidings hooks simulate ${provider} --hook try`)
      expect(JSON.parse((await run('show', 'try', '-o', 'json')).stdout)).toMatchObject({
        trial: true,
        provider,
      })
    },
  )

  test.each([
    [['sendgrid'], '--public-key: the verification key'],
    [['sendgrid', '--topic-arn', TOPIC], 'needs --public-key'],
    [['sendgrid', '--secret-stdin'], 'needs --public-key'],
    [['sendgrid', '--public-key', 'MFkw'], 'no verification key of SendGrid'],
    [['ses'], 'needs --topic-arn'],
    [['ses', '--topic-arn', 'mail'], 'looks like arn:aws:sns:'],
    [['mailgun'], 'needs --secret-stdin: the HTTP webhook signing key'],
    [['resend', '--public-key', 'x'], 'needs --secret-stdin: the signing secret'],
    [['twilio'], 'needs --secret-stdin: the auth token'],
    [['postmark', '--topic-arn', TOPIC], 'needs --secret-stdin'],
    [['ses', '--trial', '--topic-arn', TOPIC], 'leave out the option'],
    [['unknown'], 'Allowed choices are sendgrid, ses'],
  ])('create %j is wrong usage: %s', async (args, message) => {
    const result = await run('create', ...args, '--name', 'x')
    expect(result).toMatchObject({ exitCode: 64, stdout: '', stderr: expect.stringContaining(message) })
    expect(await query('SELECT * FROM hooks')).toEqual([])
  })

  test('a secret that cannot be one, and unusable names, are wrong usage', async () => {
    const pipe = (secret: string, provider: string) =>
      cli.pipe(secret, 'hooks', 'create', provider, '--name', 'x', '--secret-stdin')
    for (const [secret, provider] of [
      ['', 'mailgun'],
      ['two words and more', 'twilio'],
      ['whsec_!!!!!!!!', 'resend'],
    ] as const)
      expect([secret, await pipe(secret, provider)]).toMatchObject([secret, { exitCode: 64 }])
    for (const name of ['two words', 'x'.repeat(65), '0'.repeat(32)])
      expect(await run('create', 'postmark', '--name', name)).toMatchObject({ exitCode: 64 })
  })

  test('a name stands for one live hook', async () => {
    expect(await createMailgun('mg')).toMatchObject({ exitCode: 0 })
    expect(await createMailgun('mg')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('There is a live hook mg'),
    })
    expect(await run('revoke', 'mg')).toMatchObject({ exitCode: 0 })
    expect(await createMailgun('mg')).toMatchObject({ exitCode: 0 })
  })

  test('rotate keeps the old secret until --finish', async () => {
    const { id } = JSON.parse((await createMailgun('mg')).stdout)
    const rotate = (secret: string) => cli.pipe(secret, 'hooks', 'rotate', 'mg', '--secret-stdin')
    expect(await rotate('the-second-secret')).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('tidings hooks rotate mg --finish'),
    })
    expect((await open(id)).secrets).toEqual(['the-second-secret', MAILGUN_SECRET])
    expect(linesOf((await run('list')).stdout)[0]?.split('\t')[3]).toBe('rotating')
    expect(await rotate('the-third-secret')).toMatchObject({ exitCode: 1 })
    expect(await run('rotate', 'mg', '--finish')).toMatchObject({ exitCode: 0 })
    expect((await open(id)).secrets).toEqual(['the-second-secret'])
    expect(await run('rotate', 'mg', '--finish')).toMatchObject({ exitCode: 1 })
    expect(await run('rotate', 'mg')).toMatchObject({ exitCode: 64 })
  })

  test('rotate gives Postmark a new password in the same URL, and a trial a new key', async () => {
    const first = new URL((await run('create', 'postmark', '--name', 'pm')).stdout)
    const second = new URL((await run('rotate', 'pm')).stdout)
    expect([second.pathname, second.password === first.password]).toEqual([first.pathname, false])
    const { stdout } = await run('create', 'sendgrid', '--name', 'try', '--trial', '-o', 'id')
    expect(await run('rotate', 'try')).toMatchObject({ exitCode: 0 })
    expect(new Set((await open(linesOf(stdout)[0] ?? '')).secrets).size).toBe(2)
  })

  test('a password of an operator is the same for a program that decodes the URL', async () => {
    const password = 'a%41b:c@d/e#f'
    const { stdout } = await cli.pipe(
      password,
      'hooks',
      'create',
      'postmark',
      '--name',
      'pm',
      '--secret-stdin',
    )
    expect(decodeURIComponent(new URL(stdout).password)).toBe(password)
  })

  test('revoke ends a hook and forgets its secret', async () => {
    const { id } = JSON.parse((await createMailgun('mg')).stdout)
    expect(await run('revoke', id)).toEqual({ exitCode: 0, stdout: '', stderr: `Revoked mg, ${id}.\n` })
    expect(await query('SELECT credentials FROM hooks')).toEqual([{ credentials: [] }])
    for (const command of ['revoke', 'show', 'rotate'])
      expect(await run(command, 'mg')).toMatchObject({ exitCode: 3 })
    expect(linesOf((await run('list', '-o', 'id')).stdout)).toEqual([id])
  })

  test('each change writes a row of the audit table', async () => {
    const { id } = JSON.parse((await createMailgun('mg')).stdout)
    await cli.pipe('the-second-secret', 'hooks', 'rotate', 'mg', '--secret-stdin')
    await run('rotate', 'mg', '--finish')
    await run('revoke', 'mg')
    await run('revoke', 'mg')
    const selector = { id, name: 'mg' }
    expect(await audit()).toEqual([
      {
        actor: 'ada',
        action: 'hooks.create',
        selector: { name: 'mg', provider: 'mailgun' },
        result: `created ${id}`,
      },
      { actor: 'ada', action: 'hooks.rotate', selector, result: 'rotated' },
      { actor: 'ada', action: 'hooks.finish-rotation', selector, result: 'rotated' },
      { actor: 'ada', action: 'hooks.revoke', selector, result: 'revoked' },
    ])
  })

  test('without a key of secrets, hooks with a secret are refused, and others are not', async () => {
    const without = createCli(variables)
    const postmark = await without.run('hooks', 'create', 'postmark', '--name', 'pm')
    expect(postmark).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('openssl rand -base64 32'),
    })
    const ses = await without.run('hooks', 'create', 'ses', '--name', 'ses', '--topic-arn', TOPIC)
    expect(ses).toMatchObject({ exitCode: 0 })
  })

  test('another key of secrets is refused, and doctor names the hooks that it does not open', async () => {
    await createMailgun('mg')
    const other = createCli({ ...variables, HOOK_SECRETS_KEY: 'another key of the secrets of hooks' })
    const made = await other.run('hooks', 'create', 'postmark', '--name', 'pm')
    expect(made).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('another key than the one that hook mg was made with'),
    })
    const checkOf = async (used: Cli) =>
      JSON.parse((await used.run('doctor', '-o', 'json')).stdout).find(
        (check: { check: string }) => check.check === 'Hooks',
      )
    expect(await checkOf(cli)).toMatchObject({ result: 'ok', found: '1 live' })
    expect(await checkOf(other)).toMatchObject({ result: 'failure', found: expect.stringContaining('of mg') })
  })

  test('without API_URL no hook is made', async () => {
    const { API_URL: _, ...rest } = variables
    const made = await createCli(rest).run('hooks', 'create', 'ses', '--name', 'ses', '--topic-arn', TOPIC)
    expect(made).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('API_URL is not set') })
    expect(await query('SELECT * FROM hooks')).toEqual([])
  })

  test('--read-only refuses every change: exit code 2', async () => {
    await createMailgun('mg')
    for (const args of [
      ['create', 'postmark', '--name', 'pm'],
      ['rotate', 'mg', '--finish'],
      ['revoke', 'mg'],
    ])
      expect(await cli.run('--read-only', 'hooks', ...args)).toMatchObject({ exitCode: 2, stdout: '' })
    expect(await run('show', 'mg')).toMatchObject({ exitCode: 0 })
  })
})
