import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { findHook } from '@tidings/db/operators/hooks'
import { type MappedEvent, PROVIDERS, type Provider } from '@tidings/providers/provider'
import { createReceivers } from '@tidings/providers/receivers'
import { makeSendgridKeys } from '@tidings/providers/sendgrid/sign'
import { openCredentials } from '@tidings/shared/hook'
import {
  createTestDatabase,
  databaseVariables,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cli, createCli } from '../../../testing/cli-process.ts'

const SECRETS_KEY = 'the key of the secrets of hooks in tests'

describe('tidings hooks simulate', () => {
  const releaser = useReleaser()
  let db: TestDatabase
  let cli: Cli
  /** The events of verified requests, in the order of their arrival. */
  const received: MappedEvent[] = []
  /** How the API answers, by the number of the request. */
  let statusOf = (_request: number) => 200
  let requests = 0

  beforeAll(async () => {
    db = await createTestDatabase(releaser)
    const API_URL = await startReceivers()
    cli = createCli({
      ...databaseVariables(db),
      QUEUE_BACKEND: 'postgres',
      API_URL,
      HOOK_SECRETS_KEY: SECRETS_KEY,
    })
  })
  beforeEach(async () => {
    received.length = 0
    requests = 0
    statusOf = () => 200
    await db.database.pool.query('TRUNCATE hooks, operator_audit')
  })

  /** Verifies and reads requests as the API does. */
  async function startReceivers(): Promise<string> {
    const receivers = createReceivers({
      fetchCertificate: () => Promise.reject(new Error('Nothing is fetched')),
    })
    const server = createServer(async (request, response) => {
      const status = statusOf(requests++)
      const [, , provider = '', id = ''] = (request.url ?? '').split(/[/?]/)
      const hook = await findHook(db.database, id)
      if (hook === undefined || status !== 200) return response.writeHead(hook ? status : 404).end()
      const body = await buffer(request)
      const receiver = receivers[provider as Provider]
      const given = { headers: request.headers, body, url: url() + request.url, now: new Date() }
      const verification = await receiver.verify(given, openCredentials(SECRETS_KEY, id, hook.credentials))
      if (verification.outcome !== 'verified') return response.writeHead(401).end()
      const payload = receiver.read(given)
      const events = payload.kind === 'events' ? payload.events : []
      received.push(...events)
      const count = (outcome: string) => events.filter((event) => event.outcome === outcome).length
      const data = { accepted: count('report'), ignored: count('ignored'), invalid: count('invalid') }
      return response.end(JSON.stringify({ data }))
    })
    const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    releaser.onRelease(() => void server.close())
    releaser.onRelease(() => server.closeAllConnections())
    return url()
  }

  const createTrial = (provider: Provider, name = 'trial') =>
    cli.run('hooks', 'create', provider, '--name', name, '--trial')
  const simulate = (...args: string[]) => cli.run('hooks', 'simulate', ...args, '--rate', '5000')
  const statuses = () =>
    received.map((event) => (event.outcome === 'report' ? event.report.status : event.outcome))

  test.each(PROVIDERS)('posts traffic of %s that its receiver verifies and can read', async (provider) => {
    await createTrial(provider)
    const { exitCode, stdout, stderr } = await simulate(provider, '--count', '120', '-o', 'json')
    expect(exitCode, stderr).toBe(0)
    const { run, ...totals } = JSON.parse(stdout)
    expect(totals).toMatchObject({ events: 120, invalid: 0, failed: {} })
    expect(received).toHaveLength(120)
    expect(new Set(statuses())).toContain('delivered')
    const notifications = received.map((event) => event.outcome === 'report' && event.report.notification_id)
    expect(notifications).toContain(`simulated-${run}-0`)
    const { rows } = await db.database.pool.query(
      "SELECT result, changed FROM operator_audit WHERE action = 'hooks.simulate'",
    )
    expect(rows).toMatchObject([{ result: 'started' }, { result: 'done', changed: totals.accepted }])
  })

  test('equal seeds give equal outcomes, and ids of their own in each run', async () => {
    await createTrial('sendgrid')
    const outcomesOf = async (seed: string) => {
      received.length = 0
      await simulate('sendgrid', '--count', '300', '--seed', seed, '--bounce', '20%')
      const ids = received.flatMap((event) =>
        event.outcome === 'report' ? (event.report.event_id ?? '') : [],
      )
      return { outcomes: statuses().toSorted(), ids }
    }
    const [first, second, other] = [await outcomesOf('7'), await outcomesOf('7'), await outcomesOf('8')]
    expect(second.outcomes).toEqual(first.outcomes)
    expect(other.outcomes).not.toEqual(first.outcomes)
    expect(first.ids.filter((id) => second.ids.includes(id))).toEqual([])
  })

  test('--bounce is the share of messages that bounce', async () => {
    await createTrial('sendgrid')
    await simulate('sendgrid', '--count', '200', '--bounce', '100%')
    expect(statuses().filter((status) => status === 'sent')).toHaveLength(100)
    expect(new Set(statuses())).toEqual(new Set(['sent', 'bounced']))
    received.length = 0
    await simulate('sendgrid', '--count', '200', '--bounce', '0')
    expect(statuses()).not.toContain('bounced')
  })

  test('says which requests failed: exit code 5 for some, 1 for all', async () => {
    await createTrial('resend')
    statusOf = (request) => (request % 2 === 0 ? 503 : 200)
    expect(await simulate('resend', '--count', '10')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('503 (5)'),
    })
    statusOf = () => 503
    const failed = await simulate('resend', '--count', '4')
    expect(failed.exitCode).toBe(1)
    expect(failed.stderr).toContain('with the same API_URL and HOOK_SECRETS_KEY?')
    expect(failed.stderr).not.toContain('tidings status')
  })

  test('needs the private key of a hook that was made with a public key', async () => {
    const { publicKey, privateKey } = makeSendgridKeys()
    await cli.run('hooks', 'create', 'sendgrid', '--name', 'sg', '--public-key', publicKey)
    expect(await simulate('sendgrid', '--yes')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('Only sendgrid can sign'),
    })
    const args = ['hooks', 'simulate', 'sendgrid', '--count', '5', '--rate', '1000', '--private-key-stdin']
    expect(await cli.pipe(privateKey, ...args)).toMatchObject({ exitCode: 2 })
    expect(await cli.pipe(privateKey, ...args, '--yes')).toMatchObject({ exitCode: 0 })
    expect(received).toHaveLength(5)
  })

  test('chooses the only hook of the provider, and asks for a name where there are several', async () => {
    expect(await simulate('mailgun')).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('tidings hooks create mailgun --name trial --trial'),
    })
    await createTrial('mailgun', 'a')
    await createTrial('mailgun', 'b')
    expect(await simulate('mailgun')).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('a, b') })
    expect(await simulate('mailgun', '--hook', 'b', '--count', '3')).toMatchObject({ exitCode: 0 })
    expect(await simulate('twilio', '--hook', 'b')).toMatchObject({ exitCode: 64 })
  })

  test('Ctrl-C ends it with a summary', async () => {
    await createTrial('postmark')
    const running = cli.begin('hooks', 'simulate', 'postmark', '--count', '100000', '--rate', '20')
    await expect.poll(() => received.length, { timeout: 20_000 }).toBeGreaterThan(0)
    running.interrupt()
    expect(await running.ended).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('Posted') })
  })
})
