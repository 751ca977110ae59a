import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '@tidings/db/database'
import { mapMailgun } from '@tidings/providers/mailgun/map'
import { mapPostmark } from '@tidings/providers/postmark/map'
import { type MappedEvent, PROVIDERS, type Provider } from '@tidings/providers/provider'
import { mapResend } from '@tidings/providers/resend/map'
import { mapSendgrid } from '@tidings/providers/sendgrid/map'
import { makeSendgridKeys } from '@tidings/providers/sendgrid/sign'
import { sendgridSimulator } from '@tidings/providers/sendgrid/simulate'
import { mapSes } from '@tidings/providers/ses/map'
import { mapTwilio } from '@tidings/providers/twilio/map'
import { newHookId } from '@tidings/shared/hook'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { runShell } from '@tidings/stack/testing/run-shell'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** What an operator copied at the provider. */
const COPIED = {
  SENDGRID_KEY: makeSendgridKeys().publicKey,
  MAILGUN_KEY: 'a-signing-key-of-mailgun',
  RESEND_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  TWILIO_TOKEN: '0123456789abcdef0123456789abcdef',
}

async function readBlocks(page: string, language: 'sh' | 'json'): Promise<string[]> {
  const text = await readFile(`${ROOT}docs/providers/${page}.md`, 'utf8')
  const blocks = text.matchAll(new RegExp(`^ *\`\`\`${language}\\n(.*?)^ *\`\`\`$`, 'gms'))
  return [...blocks].map((match) => match[1]?.trim() ?? '')
}

const namesSchema = z.record(z.string(), z.unknown())
const tagsSchema = z.array(z.object({ name: z.string(), value: z.string() }))

/** The event that the provider would send about a message of the page's example. */
const REPORTED: Record<Provider, (message: Record<string, unknown>, now: Date) => MappedEvent | undefined> = {
  sendgrid: ({ custom_args, categories }, now) =>
    mapSendgrid(
      { event: 'delivered', sg_message_id: 'm.x', category: categories, ...namesSchema.parse(custom_args) },
      now,
    ),
  ses({ EmailTags }, now) {
    const tags = z.array(z.object({ Name: z.string(), Value: z.string() })).parse(EmailTags)
    const mail = { messageId: 'm', tags: Object.fromEntries(tags.map(({ Name, Value }) => [Name, [Value]])) }
    return mapSes({ eventType: 'Delivery', mail, delivery: { recipients: [] } }, 'sns', now)[0]
  },
  postmark: ({ Metadata }, now) => mapPostmark({ RecordType: 'Delivery', MessageID: 'm', Metadata }, now),
  mailgun(message, now) {
    const variables = Object.entries(message).filter(([name]) => name.startsWith('v:'))
    const named = variables.map(([name, value]) => [name.slice(2), value])
    return mapMailgun({ event: 'delivered', id: 'e', 'user-variables': Object.fromEntries(named) }, now)
  },
  resend({ tags }, now) {
    const named = tagsSchema.parse(tags).map(({ name, value }) => [name, value])
    return mapResend(
      { type: 'email.delivered', data: { email_id: 'm', tags: Object.fromEntries(named) } },
      'w',
      now,
    )
  },
  twilio: ({ StatusCallback }) =>
    mapTwilio(
      new URLSearchParams({ MessageSid: 'm', MessageStatus: 'delivered' }),
      new URL(String(StatusCallback)).searchParams,
    ),
}

describe('docs/providers', () => {
  const releaser = useReleaser()
  let stack: TestStack
  beforeAll(async () => {
    stack = await startTestStack(releaser)
  })

  const follow = async (page: string) => {
    const script = (await readBlocks(page, 'sh')).join('\n').replaceAll('. .data/', `. ${stack.dataDir}/`)
    return runShell(script, { ...process.env, ...COPIED, DATA_DIR: stack.dataDir })
  }

  async function query(sql: string, values: unknown[]): Promise<Record<string, unknown>[]> {
    const { databaseUrl: url } = stack
    const db = openDatabase({ url, applicationName: 'test', maxConnections: 1, onError: () => {} })
    try {
      return (await db.pool.query<Record<string, unknown>>(sql, values)).rows
    } finally {
      await db.close()
    }
  }

  /** The statuses of the events from a hook. */
  async function storedFrom(hook: string): Promise<string[]> {
    const rows = await query(
      `SELECT status, provider, provider_message_id, recipient_digest FROM notification_status WHERE source = $1`,
      [hook],
    )
    for (const row of rows) expect(Object.values(row)).not.toContain(null)
    return rows.map(({ status }) => String(status))
  }

  test.for(PROVIDERS)('%s.md leads from zero to stored events', { timeout: 180_000 }, async (provider) => {
    const { code, output } = await follow(provider)
    expect(code, output).toBe(0)
    expect(output).toContain(`/hooks/${provider}/`)
    expect(output).toMatch(/Posted 50 events in \d+ requests/)
    expect(output).toContain(' 0 invalid')
    await waitFor('the events', async () => (await storedFrom(`${provider}-trial`)).length >= 30, {
      timeoutMs: 30_000,
    })
    const statuses = await storedFrom(`${provider}-trial`)
    expect(statuses).toContain('delivered')
    expect(statuses).toContain('bounced')
  })

  test.for(PROVIDERS)('the message of %s.md carries the id of its notification', async (provider) => {
    const example = (await readBlocks(provider, 'json')).at(-1) ?? ''
    const event = REPORTED[provider](namesSchema.parse(JSON.parse(example)), new Date())
    expect(event).toMatchObject({
      outcome: 'report',
      report: { notification_id: 'order-42', category: 'orders', status: 'delivered' },
    })
  })

  test('a bad event of a payload is one dead letter, and its neighbours are stored', async () => {
    const { publicKey, privateKey } = makeSendgridKeys()
    const id = newHookId()
    await query(
      `INSERT INTO hooks (id, provider, name, credentials, is_trial) VALUES ($1, 'sendgrid', 'mixed', $2, true)`,
      [id, JSON.stringify([{ publicKey }])],
    )
    const { simulate, request } = sendgridSimulator
    const step = {
      outcome: 'delivered',
      random: Math.random,
      recipient: 'ada@example.com',
      at: new Date(),
    } as const
    const good = ['m-1', 'm-2'].map((messageKey) =>
      simulate({ ...step, messageKey, notificationId: messageKey }),
    )
    const bad = { event: 'delivered', sg_event_id: 'names nothing' }
    const { url, headers, body } = request(
      [good[0], bad, good[1]],
      { url: `${stack.apiUrl}/hooks/sendgrid/${id}`, secret: privateKey },
      new Date(),
    )
    const answer = await fetch(url, { method: 'POST', headers, body: new Uint8Array(body) })
    expect(answer.status).toBe(200)
    await waitFor('the events', async () => (await storedFrom('mixed')).length === 2, { timeoutMs: 30_000 })
    const listDeadLetters = async () => {
      const env = { ...process.env, DATA_DIR: stack.dataDir }
      const { output } = await runShell(
        'npm run -s tidings -- dlq list --reason invalid_event -o ndjson',
        env,
      )
      return output.split('\n').filter((line) => line.includes('names nothing'))
    }
    await waitFor('the dead letter', async () => (await listDeadLetters()).length > 0, { timeoutMs: 30_000 })
    expect(await listDeadLetters()).toHaveLength(1)
  })

  test('README.md has commands that work', { timeout: 180_000 }, async () => {
    const { code, output } = await follow('README')
    expect(code, output).toBe(0)
    expect(output).toContain('Revoked postmark-eu')
  })
})
