import { register } from '@tidings/api/testing/http'
import { startTestApi } from '@tidings/api/testing/test-api'
import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { publishMessages } from '@tidings/queue/outbound-queue'
import { OUTBOUND_QUEUE } from '@tidings/queue/policy'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { SMTPServer } from 'smtp-server'
import { describe, expect, it } from 'vitest'

const LINK = 'https://app.example.com/reset-password?token=canary'

const POLL = { timeoutMs: 30_000 }

describe('the e-mail service', () => {
  it('lists every problem of its configuration, without values, and exits with 1', async () => {
    const service = await spawnApp({
      name: 'email-service',
      main: 'examples/email-service/src/main.ts',
      env: { SMTP_URL: 'http://canary', API_URL: 'canary', QUEUE_BACKEND: 'redis' },
    })
    expect(await service.exited).toMatchObject({ code: 1 })
    for (const name of ['SMTP_URL', 'MAIL_FROM', 'API_URL', 'SERVICE_KEY'])
      expect(service.output()).toContain(`- ${name}:`)
    expect(service.output()).not.toContain('canary')
  })
})

describeBackends('the e-mail service on a server that refuses mails', (kind) => {
  const releaser = useReleaser()

  it('reports bounces, tries again what was deferred, sends nothing expired, and logs no address', async () => {
    const seen: string[] = []
    let isBusy = true
    const smtp = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      onRcptTo({ address }, _session, done) {
        seen.push(address)
        const refuse = (responseCode: number) =>
          done(Object.assign(new Error(`refused <${address}>`), { responseCode }))
        if (address.startsWith('gone')) return refuse(550)
        if (address.startsWith('busy') && isBusy) {
          isBusy = false
          return refuse(450)
        }
        done()
      },
      onData(stream, { envelope }, done) {
        const isSpam = envelope.rcptTo.some(({ address }) => address.startsWith('spam'))
        const refusal = Object.assign(new Error(`blocked for <${LINK}>`), { responseCode: 554 })
        stream.resume().on('end', () => done(isSpam ? refusal : undefined))
      },
    })
    const server = smtp.listen(0, '127.0.0.1')
    releaser.onRelease(() => new Promise<void>((resolve) => smtp.close(resolve)))

    const backend: QueueBackend | undefined =
      kind === 'redis' ? await createTestBackend(kind, releaser) : undefined
    const api = await startTestApi(releaser, {}, backend && { backend })
    const redis = api.backend.kind === 'redis' ? new Redis(api.backend.url) : undefined
    releaser.onRelease(() => redis?.disconnect())
    const queue = openQueue<OutboundJob>(OUTBOUND_QUEUE, api.backend, redis, { onError() {} })
    releaser.onRelease(() => queue.close())
    const address = server.address()
    const service = await spawnApp({
      name: 'email-service',
      main: 'examples/email-service/src/main.ts',
      env: {
        SMTP_URL: `smtp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
        MAIL_FROM: 'Acme <hello@example.com>',
        API_URL: api.apiUrl,
        SERVICE_KEY: await api.createKey('status:write:email'),
        LOG_LEVEL: 'trace',
        ...(api.backend.kind === 'redis'
          ? { REDIS_URL: api.backend.url, QUEUE_PREFIX: api.backend.prefix }
          : { DATABASE_URL: api.url }),
      },
    })
    releaser.onRelease(async () => void (await service.stop()))
    await service.waitUntilReady()

    const { id: user_id } = await register(api.apiUrl)
    const ids = { gone: uuid(1), busy: uuid(2), late: uuid(3), spam: uuid(4) }
    const makeJob = (id: string, to: string, expiresInMs = 60_000): OutboundJob => ({
      v: 1,
      id,
      kind: 'password_reset',
      to,
      user_id,
      locale: 'en',
      variables: { link: LINK },
      expires_at: new Date(Date.now() + expiresInMs).toISOString(),
    })
    await publishMessages(queue, [
      makeJob(ids.gone, 'gone@example.com'),
      makeJob(ids.busy, 'busy@example.com'),
      makeJob(ids.late, 'late@example.com', -1),
      makeJob(ids.spam, 'spam@example.com'),
    ])
    const reportsOf = async (id: string) =>
      (await api.listQueued())
        .filter((event) => event.notification_id === id)
        .map(({ status, attempt = 0, error, user_id: user }) => ({ status, attempt, error, user }))
        .sort((a, b) => a.attempt - b.attempt)
    await waitFor(
      'all reports',
      async () => (await api.listQueued()).length === 5 && (await queue.count()) === 0,
      POLL,
    )
    expect(await reportsOf(ids.gone)).toEqual([
      {
        ...{ status: 'bounced', attempt: 1, user: user_id },
        error: { code: '550', class: 'permanent', message: '550 refused <gone@example.com>' },
      },
    ])
    expect(await reportsOf(ids.busy)).toMatchObject([
      { status: 'deferred', attempt: 1, error: { code: '450', class: 'transient' } },
      { status: 'sent', attempt: 2 },
    ])
    expect(await reportsOf(ids.late)).toMatchObject([{ status: 'failed', error: { code: 'expired' } }])
    // Filters quote what they object to.
    expect(await reportsOf(ids.spam)).toMatchObject([
      {
        status: 'failed',
        error: { code: '554', message: expect.stringContaining('reset-password?token=***') },
      },
    ])
    expect(JSON.stringify(await api.listQueued())).not.toContain('canary')
    expect(seen.sort()).toEqual([
      'busy@example.com',
      'busy@example.com',
      'gone@example.com',
      'spam@example.com',
    ])

    // What is left of the jobs: nothing that names a person or holds a secret.
    if (redis && api.backend.kind === 'redis') {
      const events = await redis.xrange(`${api.backend.prefix}:${OUTBOUND_QUEUE}:events`, '-', '+')
      expect(JSON.stringify(events)).not.toMatch(/@example|canary/)
      expect(await redis.keys(`${api.backend.prefix}:${OUTBOUND_QUEUE}:${ids.gone}`)).toEqual([])
    }
    expect(await service.stop()).toEqual({ code: 0, signal: null })
    expect(service.output()).toContain('"outcome":"bounced"')
    expect(service.output()).not.toMatch(/@example|canary/)
  })
})

const uuid = (n: number) => `018f2f6a-0000-7000-8000-00000000000${n}`
