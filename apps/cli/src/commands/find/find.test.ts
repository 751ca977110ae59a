import { randomUUID } from 'node:crypto'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { identifyEvent } from '@tidings/shared/event-identity'
import { DEFAULT_RECIPIENT_KEY, digestRecipient } from '@tidings/shared/recipient'
import { hashSecret } from '@tidings/shared/service-key'
import type { NotificationType, StatusReport } from '@tidings/shared/status-event'
import { makeReport } from '@tidings/shared/testing/make-event'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'

const EMAIL = 'ada.lovelace@example.com'
const PUSH_TOKEN = `fcm-${'a1b2c3d4'.repeat(20)}`
const MESSAGE_ID = '<0100018f-4711@mail.example.com>'

describeBackends('tidings find', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
  })
  beforeEach(() => lab.empty())

  const query = (text: string, values: unknown[] = []) => lab.db.database.pool.query(text, values)
  async function makeUser(
    fields: { email?: string; isActive?: boolean; email_notifications?: boolean } = {},
  ) {
    const id = randomUUID()
    const { email = EMAIL, isActive = true, email_notifications = true } = fields
    await query(
      `INSERT INTO users (id, email, name, password, is_active, email_notifications) VALUES ($1, $2, 'Ada', '!', $3, $4)`,
      [id, email, isActive, email_notifications],
    )
    return id
  }
  async function store(report: Partial<StatusReport>, type: NotificationType = 'email') {
    const reception = { type, source: 'test', receivedAt: new Date(), recipientKey: DEFAULT_RECIPIENT_KEY }
    const event = identifyEvent(makeReport(report), reception)
    expect(await storeStatusEvents(lab.db.database, [event])).toEqual(['stored'])
    return event
  }
  async function findJson(text: string, ...options: string[]) {
    const run = await lab.cli.run('find', text, '-o', 'json', ...options)
    expect(run).toMatchObject({ exitCode: 0, stderr: '' })
    return JSON.parse(run.stdout)
  }
  /** A bounced notification of a user, and a dead letter of each other kind. */
  async function makeHistory() {
    const user_id = await makeUser()
    const fields = {
      ...{ notification_id: 'order-7', user_id, recipient: EMAIL },
      ...{ provider: 'ses', provider_message_id: MESSAGE_ID },
    }
    const sent = await store({ ...fields, status: 'sent', timestamp: '2026-01-01T00:00:00Z' })
    const error = { code: '550', class: 'permanent', message: `no mailbox ${EMAIL}` } as const
    const bounced = await store({ ...fields, status: 'bounced', error, timestamp: '2026-01-01T00:01:00Z' })
    return { user_id, sent, bounced }
  }

  test('knows the id of a notification, an event and a message, and shows the timeline', async () => {
    const { user_id, sent, bounced } = await makeHistory()
    await lab.cli.run('suppressions', 'add', EMAIL, '--reason', 'bounce', '--yes')
    for (const id of ['order-7', sent.id.toUpperCase(), ` ${bounced.id} `, MESSAGE_ID]) {
      const found = await findJson(id)
      expect(found, id).toMatchObject({
        users: [{ id: user_id, reasons: { email: 'suppressed_bounce', push: 'no_push_token' } }],
        suppressions: [{ channel: 'email', reason: 'bounce' }],
        notifications: [{ notification_id: 'order-7', status: 'bounced', user_id }],
        recipient_events: [],
        dead_letters: [],
        more: [],
      })
      expect(found.notifications[0].timeline.map((event: { id: string }) => event.id)).toEqual([
        sent.id,
        bounced.id,
      ])
    }
    const { stdout } = await lab.cli.run('find', 'order-7')
    expect(stdout).toContain('Notification email order-7: bounced\nWhy: bounced at 2026-01-01T00:01:00.000Z')
    expect(stdout).toContain('E-mail        not deliverable: suppressed_bounce')
    for (const section of ['recipient', 'Dead letters']) expect(stdout).not.toContain(section)
  })

  test('shows the suppressions of the recipient of a notification without a user', async () => {
    await store({ notification_id: 'order-8', recipient: EMAIL, status: 'bounced', error: 'no mailbox' })
    await lab.cli.run('suppressions', 'add', EMAIL, '--reason', 'bounce', '--yes')
    expect(await findJson('order-8')).toMatchObject({
      users: [],
      suppressions: [{ channel: 'email', reason: 'bounce' }],
    })
  })

  test('knows a user by id and by address, with what the user receives and their last events', async () => {
    const { user_id, bounced } = await makeHistory()
    for (const text of [user_id.toUpperCase(), EMAIL, 'Ada.Lovelace@EXAMPLE.com']) {
      const { users, notifications, recipient_events } = await findJson(text)
      expect(users, text).toMatchObject([
        {
          ...{ id: user_id, active: true, email_verified_at: null, email: 'a***@example.com' },
          ...{ deliverable: { email: true, push: false }, reasons: { email: null, push: 'no_push_token' } },
          events: [{ id: bounced.id }, { status: 'sent' }],
        },
      ])
      expect([notifications, recipient_events]).toEqual([[], []])
    }
    const { stdout } = await lab.cli.run('find', EMAIL)
    for (const line of [
      'Active        yes',
      'E-mail        deliverable',
      'Push          not deliverable: no_push_token',
    ])
      expect(stdout).toContain(line)
  })

  test('says why a user does not receive', async () => {
    const inactive = await makeUser({ isActive: false })
    const optedOut = await makeUser({ email: 'b@example.com', email_notifications: false })
    const reasons = async (id: string) => (await findJson(id)).users[0].reasons
    expect(await reasons(inactive)).toEqual({ email: 'inactive', push: 'inactive' })
    expect(await reasons(optedOut)).toEqual({ email: 'opted_out', push: 'no_push_token' })
  })

  test('shows the suppressions of an address and of a user, and that they make the user undeliverable', async () => {
    const id = await makeUser()
    await lab.cli.run('suppressions', 'add', EMAIL, '--note', `${EMAIL} asked`, '--yes')
    const suppressions = [
      { channel: 'email', reason: 'manual', category: null, note: 'a***@example.com asked' },
    ]
    for (const text of [EMAIL, id])
      expect(await findJson(text), text).toMatchObject({
        users: [{ reasons: { email: 'suppressed_manual', push: 'no_push_token' } }],
        suppressions,
      })
    const { stdout } = await lab.cli.run('find', EMAIL)
    expect(stdout).toMatch(
      /Suppressions, newest first\nmanual {2}email {2}every category {2}since .*Z until it is lifted {2}by .*: a\*\*\*@example.com asked/,
    )
    await query('DELETE FROM users')
    expect(await findJson(EMAIL)).toMatchObject({ users: [], suppressions })
  })

  test('knows an address and a token without a user by their digest', async () => {
    const mail = await store({ recipient: EMAIL })
    const push = await store({ recipient: PUSH_TOKEN }, 'push')
    expect((await findJson(EMAIL)).recipient_events).toMatchObject([{ id: mail.id }])
    expect((await findJson(PUSH_TOKEN)).recipient_events).toMatchObject([{ id: push.id }])
  })

  test('knows the user of a push token', async () => {
    const id = await makeUser()
    await query(`INSERT INTO devices (user_id, device_id, token, token_digest) VALUES ($1, 'd', $2, $3)`, [
      ...[id, PUSH_TOKEN, hashSecret(PUSH_TOKEN)],
    ])
    expect((await findJson(PUSH_TOKEN)).users).toMatchObject([{ id }])
  })

  test('finds dead letters by each id that they hold, and by the address', async () => {
    const user_id = randomUUID()
    const recipient_digest = digestRecipient(DEFAULT_RECIPIENT_KEY, 'push', PUSH_TOKEN)
    const eventId = randomUUID()
    const [entry = ''] = await lab.bury(1, {
      eventId,
      fields: { user_id, notification_id: 'order-9', provider_message_id: MESSAGE_ID, recipient_digest },
      error: { code: 'x', message: `Refused for ${EMAIL}.` },
    })
    const [mentioning = ''] = await lab.bury(1, { fields: { metadata: { to: EMAIL } } })
    await lab.bury(2)
    for (const text of [entry, eventId, user_id.toUpperCase(), 'order-9', MESSAGE_ID, PUSH_TOKEN])
      expect((await findJson(text)).dead_letters, text).toMatchObject([{ id: entry }])
    expect((await findJson(EMAIL)).dead_letters).toMatchObject([{ id: mentioning }])
    const { stdout } = await lab.cli.run('find', 'order-9')
    expect(stdout).toMatch(
      new RegExp(`^Dead letters, newest first\n${entry}  unknown_user  .*a\\*\\*\\*@example.com`),
    )
  })

  test('shows all matches of one text, and what was left out', async () => {
    for (let n = 0; n < 7; n++)
      await store({ provider_message_id: 'shared', timestamp: `2026-01-0${n + 1}T00:00:00Z` })
    await store({ notification_id: 'shared', status: 'sent' })
    await store({ notification_id: 'shared', status: 'failed', error: 'x' }, 'push')
    for (let n = 0; n < 12; n++) await store({ recipient: 'shared', attempt: n }, 'push')
    await lab.bury(21, { fields: { notification_id: 'shared' } })
    const found = await findJson('shared')
    expect(found.notifications.slice(0, 2)).toMatchObject([
      { notification_id: 'shared', notification_type: 'email', status: 'sent' },
      { notification_id: 'shared', notification_type: 'push', status: 'failed' },
    ])
    const counts = ['notifications', 'recipient_events', 'dead_letters'].map((name) => found[name].length)
    expect(counts).toEqual([5, 10, 20])
    expect(found.more).toEqual(['notifications', 'recipient_events', 'dead_letters'])
    const { stdout } = await lab.cli.run('find', 'shared')
    expect(stdout).toContain('There are more: notifications, recipient events, dead letters.')
  })

  test('shows addresses and tokens with --show-sensitive only', async () => {
    const { user_id } = await makeHistory()
    await query(
      `INSERT INTO devices (user_id, device_id, token, token_digest)
       VALUES ($1, 'default', $2::text, sha256(convert_to($2::text, 'UTF8')))`,
      [user_id, PUSH_TOKEN],
    )
    for (const format of ['table', 'json', 'ndjson'])
      for (const text of [EMAIL, user_id, 'order-7', MESSAGE_ID]) {
        const masked = await lab.cli.run('find', text, '-o', format)
        expect(masked.stdout).not.toContain('lovelace')
        expect(masked.stdout).not.toContain(PUSH_TOKEN)
        const whole = await lab.cli.run('find', text, '-o', format, '--show-sensitive')
        expect(whole.stdout).toContain(EMAIL)
      }
  })

  test('is exit code 3 when nothing is found, without the text; nothing is written to the audit table', async () => {
    await makeHistory()
    for (const text of ['nobody@example.com', PUSH_TOKEN, randomUUID(), 'order-', '%', 'x'.repeat(5_000)]) {
      const run = await lab.cli.run('find', text, '-o', 'json')
      expect(run).toMatchObject({ exitCode: 3, stdout: '' })
      expect(run.stderr).toMatch(/^tidings: Nothing is known of it/)
      expect(run.stderr).not.toContain(text)
    }
    expect(await lab.cli.run('find', ' ')).toMatchObject({ exitCode: 64 })
    expect(await lab.audit()).toEqual([])
  })
})
