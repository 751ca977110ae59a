import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findTextInPostgres, findTextInRedis } from '@tidings/api/testing/find-text'
import { register } from '@tidings/api/testing/http'
import { openDatabase } from '@tidings/db/database'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { readEnvFile } from '@tidings/runtime/env-file'
import { OUTBOUND_KINDS, OUTBOUND_LINKS } from '@tidings/shared/outbound-message'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack } from '@tidings/stack/testing/test-stack'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startCollector } from './tracing/collector.ts'

const POLL = { timeoutMs: 30_000 }

describeBackends('the tokens of links', (kind) => {
  const releaser = useReleaser()

  test('are in the mails only: in no row, key, log, trace or metric', async () => {
    const collector = await startCollector(releaser)
    const stack = await startTestStack(releaser, kind, {
      LOG_LEVEL: 'trace',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    })
    const user = await register(stack.apiUrl)
    const kinds = OUTBOUND_KINDS.filter((each) => OUTBOUND_LINKS[each] !== undefined)
    const db = openDatabase({
      url: stack.databaseUrl,
      applicationName: 'test',
      maxConnections: 1,
      onError() {},
    })
    for (const each of kinds) await addMessage(db, { kind: each, userId: user.id, to: `${each}@example.com` })
    await db.close()
    const readTokens = async () => {
      const mails = (await (await fetch(`${stack.apiUrl}/dev/mailbox/messages`)).json()) as { text: string }[]
      return mails.flatMap(({ text }) => /\?token=([\w-]{43})/.exec(text)?.[1] ?? [])
    }
    await waitFor('the mails', async () => (await readTokens()).length >= kinds.length, POLL)
    const { REDIS_URL, SERVICE_KEY, WORKER_URL } = readEnvFile(stack.devEnvFile)
    const history = () =>
      fetch(`${stack.apiUrl}/api/v1/status/history/`, { headers: { authorization: `Bearer ${user.token}` } })
    await waitFor(
      'the reports',
      async () => ((await (await history()).json()) as { data: unknown[] }).data.length >= kinds.length,
      POLL,
    )
    for (const token of await readTokens())
      for (const path of ['/reset-password', '/verify-email', '/confirm-email', '/undo-email'])
        await fetch(`${stack.apiUrl}${path}?token=${token}`)
    const metrics = await Promise.all(
      [`${stack.apiUrl}/metrics`, `${WORKER_URL}/metrics`].map(async (url) => (await fetch(url)).text()),
    )
    const redis = REDIS_URL === undefined || kind === 'postgres' ? undefined : new Redis(REDIS_URL)
    releaser.onRelease(() => redis?.disconnect())
    const tokens = await readTokens()
    // The e-mail service reports a message a moment before its job ends.
    const placesOf = async (token: string) => [
      ...(await findTextInPostgres(stack.databaseUrl, token)),
      ...(redis ? await findTextInRedis(redis, token) : []),
    ]
    for (const token of tokens)
      await waitFor('no trace of the token', async () => (await placesOf(token)).length === 0)
    await stack.stop()
    const names = ['api', 'worker', 'email-service']
    const logs = await Promise.all(names.map((name) => readFile(join(stack.logDir, `${name}.log`), 'utf8')))
    const places: Record<string, string> = {
      metrics: metrics.join(),
      traces: collector.received(),
      logs: logs.join(),
    }
    expect(collector.spans.length).toBeGreaterThan(0)
    for (const [place, text] of Object.entries(places))
      for (const secret of [...tokens, SERVICE_KEY ?? 'none'])
        expect([place, text.includes(secret)]).toEqual([place, false])
    expect(collector.received()).not.toContain('outbound-messages')
  })
})
