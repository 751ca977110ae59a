import { createPartitions, startOfMonth } from '@tidings/db/events/partitions'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import type { NotificationType } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'

const DAY_MS = 86_400_000
const APPLY = ['retention', 'apply', '--older-than', '180d']

describe('tidings retention apply', () => {
  const releaser = useReleaser()
  let lab: CliLab
  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
  })

  const agedDays = (days: number, type: NotificationType = 'email', source = 'test') => ({
    ...makeEvent({}, type),
    source,
    received_at: new Date(Date.now() - days * DAY_MS).toISOString(),
  })
  const countEvents = async () =>
    (await lab.db.database.pool.query('SELECT count(*)::int AS count FROM notification_status')).rows[0]
      ?.count

  beforeEach(async () => {
    await lab.empty()
    const client = await lab.db.database.pool.connect()
    const months = Array.from({ length: 13 }, (_, index) => startOfMonth(new Date(), -index))
    await createPartitions(client, months).finally(() => client.release())
    await storeStatusEvents(lab.db.database, [
      agedDays(0),
      agedDays(179),
      agedDays(181),
      agedDays(300),
      agedDays(300, 'push'),
      agedDays(300, 'push', 'newsletter'),
    ])
  })

  test('drops and deletes, says how much, and records it', async () => {
    const { exitCode, stdout, stderr } = await lab.cli.run(...APPLY, '--yes', '-o', 'json')
    expect(exitCode, stderr).toBe(0)
    const steps: { action: string; events: number; ms: number; outcome: string }[] = JSON.parse(stdout)
    expect(steps.reduce((sum, { events }) => sum + events, 0)).toBe(4)
    expect(steps.every(({ ms, outcome }) => ms < 1_000 && outcome === 'done')).toBe(true)
    expect(steps.some(({ action }) => action === 'drop')).toBe(true)
    expect(stderr).toContain('Removed 4 events.')
    expect(await countEvents()).toBe(2)
    expect(await lab.audit()).toMatchObject([
      { actor: 'ada', action: 'retention.apply', changed: 0, result: 'started' },
      { actor: 'ada', action: 'retention.apply', changed: 4, result: 'done' },
    ])
    const again = await lab.cli.run(...APPLY, '--yes')
    expect(again).toMatchObject({ exitCode: 0, stdout: '' })
    expect(again.stderr).toContain('No such event was received before ')
  })

  test('removes one type or one source only', async () => {
    const source = await lab.cli.run(...APPLY, '--source', 'newsletter', '--yes')
    expect(source).toMatchObject({ exitCode: 0 })
    expect(await countEvents()).toBe(5)
    const type = await lab.cli.run('retention', 'apply', '--older-than', '30d', '--type', 'push', '--yes')
    expect(type.stderr).toContain(', of type push: delete 1 events one by one.')
    expect(await countEvents()).toBe(4)
  })

  test('changes nothing with --dry-run, and reports what would go', async () => {
    const { exitCode, stdout, stderr } = await lab.cli.run(...APPLY, '--dry-run')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^notification_status_\d{4}_\d{2}\tdrop\t\d\t-\tdry run$/m)
    expect(stderr).toMatch(/: drop \d+ partitions with \d events/)
    expect(await countEvents()).toBe(6)
    expect(await lab.audit()).toEqual([])
  })

  test('asks first: no, and no terminal, change nothing', async () => {
    const unasked = await lab.cli.run(...APPLY)
    expect(unasked).toMatchObject({ exitCode: 2 })
    const readOnly = await lab.cli.run(...APPLY, '--yes', '--read-only')
    expect(readOnly).toMatchObject({ exitCode: 2 })
    expect(await countEvents()).toBe(6)
    expect(await lab.audit()).toEqual([])
  })

  test.each([
    [['retention', 'apply'], '--older-than'],
    [['retention', 'apply', '--older-than', '2d'], '3d or more'],
    [['retention', 'apply', '--older-than', 'soon'], 'Use a duration'],
    [[...APPLY, '--type', 'fax'], 'email, push'],
    [[...APPLY, '--source', ''], 'It is empty'],
  ])('refuses %j', async (args, message) => {
    const { exitCode, stderr } = await lab.cli.run(...args)
    expect(exitCode).toBe(64)
    expect(stderr).toContain(message)
  })
})
