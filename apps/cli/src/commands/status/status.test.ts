import { randomUUID } from 'node:crypto'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { type StatusEvent, statusEventSchema } from '@tidings/shared/status-event'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { useEmptyCliLab } from '../../testing/cli-lab.ts'
import { linesOf } from '../../testing/cli-process.ts'

describeBackends('tidings status', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)

  const makeEvent = (minute: number, fields: Partial<StatusEvent>) => {
    const time = new Date(Date.UTC(2026, 0, 1, 12, minute)).toISOString()
    const id = randomUUID()
    return statusEventSchema.parse({
      ...{ id, notification_id: 'order-7', notification_type: 'email', source: 'email-service' },
      ...{ status: 'sent', timestamp: time, received_at: time, ...fields },
    })
  }
  /** Stores: sent, bounced (transient), delivered by the second attempt, opened; not in this order. */
  async function storeHistory() {
    const events = [
      makeEvent(3, { status: 'opened' }),
      makeEvent(2, { status: 'delivered', attempt: 2 }),
      makeEvent(0, { status: 'sent', attempt: 1, provider: 'ses' }),
      makeEvent(1, {
        status: 'bounced',
        attempt: 1,
        error: { code: '452', class: 'transient', message: 'mailbox of ada.l@example.com is full' },
      }),
    ]
    await storeStatusEvents(lab.db.database, events)
    return events
  }

  test('shows the current status and the timeline, oldest first', async () => {
    await storeHistory()
    const run = await cli.run('status', 'order-7')
    expect(run).toMatchObject({ exitCode: 0, stderr: '' })
    const [head, opened, ...table] = linesOf(run.stdout)
    expect(head).toBe('email order-7: delivered')
    expect(opened).toBe('opened        2026-01-01T12:03:00.000Z')
    expect(table.map((line) => line.split(/\s{2,}/).slice(0, 3))).toEqual([
      ['TIME', 'STATUS', 'TRY'],
      ['2026-01-01T12:00:00.000Z', 'sent', '1'],
      ['2026-01-01T12:01:00.000Z', 'bounced', '1'],
      ['2026-01-01T12:02:00.000Z', 'delivered', '2'],
      ['2026-01-01T12:03:00.000Z', 'opened', '-'],
    ])
    expect(run.stdout).not.toContain('Why:')
  })

  test('--explain names the deciding rule and event, and finds dead letters', async () => {
    const [, delivered] = await storeHistory()
    await lab.bury(2)
    const [dead] = await lab.bury(1, {
      reason: 'conflict',
      error: { code: 'conflict', message: 'Another event of grace@example.com is stored.' },
      fields: { notification_id: 'order-7' },
    })
    const run = await cli.run('status', 'order-7', '--explain')
    expect(run).toMatchObject({ exitCode: 0 })
    expect(linesOf(run.stdout)[1]).toMatch(
      new RegExp(`^Why: delivered \\(attempt 2\\) at 2026-01-01T12:02:00.000Z, event ${delivered?.id}: `),
    )
    const found = linesOf(run.stdout).filter((line) => line.startsWith('Dead letter: '))
    expect(found).toEqual([`Dead letter: ${dead}  conflict  Another event of g***@example.com is stored.`])
  })

  test('-o json is one object with the timeline, and with --explain the dead letters', async () => {
    const events = await storeHistory()
    const plain = JSON.parse((await cli.run('status', 'order-7', '-o', 'json')).stdout)
    expect(plain).toMatchObject({
      notification_id: 'order-7',
      notification_type: 'email',
      user_id: null,
      status: 'delivered',
      opened_at: '2026-01-01T12:03:00.000Z',
      clicked_at: null,
      timeline: [2, 3, 1, 0].map((n) => ({ id: events[n]?.id, status: events[n]?.status })),
    })
    expect(plain).not.toHaveProperty('dead_letters')
    const [dead] = await lab.bury(1, { fields: { notification_id: 'order-7' } })
    const explained = JSON.parse((await cli.run('status', 'order-7', '--explain', '-o', 'json')).stdout)
    expect(explained.dead_letters).toMatchObject([{ id: dead, reason: 'unknown_user' }])
  })

  test('shows the notifications of both types that have this id, or the one of --type', async () => {
    await storeHistory()
    await storeStatusEvents(lab.db.database, [
      makeEvent(0, { notification_type: 'push', status: 'failed', error: 'x' }),
    ])
    const heads = async (...args: string[]) =>
      linesOf((await cli.run('status', 'order-7', ...args)).stdout).filter((line) =>
        line.includes(' order-7: '),
      )
    expect(await heads()).toEqual(['email order-7: delivered', 'push order-7: failed'])
    expect(await heads('--type', 'push')).toEqual(['push order-7: failed'])
    const both = JSON.parse((await cli.run('status', 'order-7', '-o', 'json')).stdout)
    expect(both).toMatchObject([{ notification_type: 'email' }, { notification_type: 'push' }])
  })

  test('masks e-mail addresses unless told not to', async () => {
    await storeHistory()
    for (const format of ['table', 'json', 'ndjson']) {
      const masked = await cli.run('status', 'order-7', '-o', format)
      expect(masked.stdout).toContain('mailbox of a***@example.com is full')
      const whole = await cli.run('status', 'order-7', '-o', format, '--show-sensitive')
      expect(whole.stdout).toContain('mailbox of ada.l@example.com is full')
    }
  })

  test('an unknown notification is exit code 3; --explain names its dead letters', async () => {
    const [dead = ''] = await lab.bury(1, { fields: { notification_id: 'order-8' } })
    const unknown = await cli.run('status', 'order-8')
    expect(unknown).toMatchObject({ exitCode: 3, stdout: '' })
    expect(unknown.stderr).toContain(
      'No event of notification order-8 is stored. Does it wait, or is it a dead letter? Add --explain.',
    )
    expect(unknown.stderr).not.toContain(dead)
    const explained = await cli.run('status', 'order-8', '--explain', '-o', 'json')
    expect(explained).toMatchObject({ exitCode: 3, stdout: '' })
    expect(explained.stderr).toContain(`It has dead letters: ${dead}.`)
    expect(explained.stderr).not.toContain('Not stored yet')
  })

  test('--explain says that jobs wait, and that no worker takes them', async () => {
    await lab.main.add('envelope', { v: 1, events: [] })
    const unknown = await cli.run('status', 'order-9', '--explain')
    const waiting =
      'Not stored yet: 1 job on the queue, which may hold events of this notification.' +
      ' No worker is connected: see tidings doctor.'
    expect(unknown).toEqual({
      exitCode: 3,
      stdout: '',
      stderr: `tidings: No event of notification order-9 is stored. ${waiting}\n`,
    })
    await storeHistory()
    const known = await cli.run('status', 'order-7', '--explain')
    expect(linesOf(known.stdout).at(-1)).toBe(waiting)
    const { waiting: counted } = JSON.parse(
      (await cli.run('status', 'order-7', '--explain', '-o', 'json')).stdout,
    )
    expect(counted).toEqual({ jobs: 1, events: 0, workers: 0 })
  })
})
