import { randomUUID } from 'node:crypto'
import { findStoredContent } from '@tidings/db/events/stored-content'
import { eventIdOf } from '@tidings/queue/dead-letters/entry-id'
import { type AppProcess, spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, test } from 'vitest'
import { useCliLab } from '../../../testing/cli-lab.ts'

/* Each test has another source: the worker runs all the time, so the stores cannot be emptied between tests. */
describeBackends('tidings dlq redrive with a worker', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useCliLab(kind, releaser)
  let worker: AppProcess

  beforeAll(async () => {
    const port = await findFreePort()
    worker = await spawnApp({
      name: 'worker',
      main: 'apps/worker/src/main.ts',
      baseEnv: { PATH: process.env.PATH },
      env: { ...lab.cli.env, WORKER_PORT: String(port), LOG_LEVEL: 'silent' },
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    })
    releaser.onRelease(async () => void (await worker.stop()))
    await worker.waitUntilReady()
  })

  /** Buries events that are stored when they are redriven. */
  const buryGood = (count: number, source: string) => lab.bury(count, { fields: { source } })
  /** Buries events that are dead-lettered again at once: their user does not exist. */
  const buryBad = (count: number, source: string) =>
    lab.bury(count, { fields: { source, user_id: randomUUID() } })
  const redrive = (source: string, ...more: string[]) =>
    cli.run('dlq', 'redrive', '--source', source, '--yes', '-o', 'json', ...more)
  const redrivesOf = async (ids: readonly string[]) =>
    (await lab.store.get(ids)).map((entry) => entry.redrives).toSorted()
  const countStored = async (ids: readonly string[]) =>
    (
      await findStoredContent(
        lab.db.database,
        ids.map((id) => ({ id: eventIdOf(id) })),
      )
    ).size

  test('stops with exit code 5 after a canary that was dead-lettered again; the others stay', async () => {
    const ids = await buryBad(9, 'all-bad')
    const run = await redrive('all-bad', '--canary', '3')
    expect(run).toMatchObject({ exitCode: 5 })
    expect(run.stderr).toContain('100 % of the canary was not stored')
    expect(JSON.parse(run.stdout)).toMatchObject({ redriven: 3, stored: 0, dead: 3, end: 'stopped' })
    expect(await redrivesOf(ids)).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1])
  })

  test('stops after the canary only when more than the ratio was dead-lettered again', async () => {
    const bad = await buryBad(1, 'mixed')
    const good = await buryGood(7, 'mixed')
    const stopped = await redrive('mixed', '--canary', '4', '--abort-on-failure-ratio', '0.2')
    expect(stopped).toMatchObject({ exitCode: 5 })
    expect(stopped.stderr).toContain('25 % of the canary was not stored')
    expect(await countStored(good)).toBe(3)
    expect(await redrivesOf(good)).toEqual([0, 0, 0, 0])
    // The four that are left are the oldest now. The bad one was buried again, after them.
    const allowed = await redrive('mixed', '--canary', '5', '--abort-on-failure-ratio', '0.2', '--wait')
    expect(JSON.parse(allowed.stdout)).toMatchObject({ redriven: 5, stored: 4, dead: 1, end: 'done' })
    expect(allowed).toMatchObject({ exitCode: 5 })
    expect(allowed.stderr).toContain('Not every entry was stored')
    expect(await countStored(good)).toBe(7)
    expect(await redrivesOf(bad)).toEqual([2])
  })

  test('redrives the whole group when its canary is stored', async () => {
    const ids = await buryGood(12, 'good')
    const [group = ''] = (await cli.run('dlq', 'groups', '--source', 'good', '-o', 'id')).stdout.split('\n')
    const run = await cli.run(
      ...['dlq', 'redrive', '--group', group, '--source', 'good', '--canary', '4', '--wait', '--yes'],
      ...['-o', 'json'],
    )
    expect(run).toMatchObject({ exitCode: 0 })
    expect(JSON.parse(run.stdout)).toMatchObject({ redriven: 12, stored: 12, dead: 0, pending: 0 })
    expect(await countStored(ids)).toBe(12)
    expect(await lab.store.get(ids)).toEqual([])
  })

  test('--wait waits until the worker has stored every entry', async () => {
    const ids = await buryGood(5, 'waited-for')
    worker.signal('SIGSTOP')
    const { child, ended } = cli.start('dlq', 'redrive', '--source', 'waited-for', '--wait', '--yes')
    try {
      await waitFor('the entries to be queued', async () => (await lab.store.get(ids)).length === 0, {
        timeoutMs: 30_000,
      })
      expect(await countStored(ids)).toBe(0)
      expect(child.exitCode).toBeNull()
    } finally {
      worker.signal('SIGCONT')
    }
    expect(await ended).toMatchObject({ exitCode: 0 })
    expect(await countStored(ids)).toBe(5)
  })

  describe('of events that were unreadable', () => {
    const UNREADABLE = {
      reason: 'invalid_event',
      error: { code: 'invalid_event', message: 'status: Invalid option' },
    } as const
    /** An event as a producer puts it onto the queue: it has no id of ours. */
    const makeBare = (source: string, fields: object = {}) => ({
      ...{ notification_id: 'order-7', notification_type: 'email', status: 'delivered', source },
      ...{ event_id: randomUUID(), ...fields },
    })

    test('--wait and --canary count those that are unreadable still as dead', async () => {
      await lab.bury(2, { ...UNREADABLE, fields: { source: 'lost', status: 'lost' } })
      await lab.bury(1, {
        ...UNREADABLE,
        eventId: '0'.repeat(32),
        event: makeBare('lost', { status: 'lost' }),
      })
      const waited = await redrive('lost', '--wait')
      expect(JSON.parse(waited.stdout)).toMatchObject({ redriven: 3, stored: 0, dead: 3, pending: 0 })
      const canary = await redrive('lost', '--canary', '2')
      expect(JSON.parse(canary.stdout)).toMatchObject({ redriven: 2, dead: 2, end: 'stopped' })
    })

    test('--wait and --canary count those that can be stored by now as stored', async () => {
      await lab.bury(2, { ...UNREADABLE, fields: { source: 'repaired' } })
      await lab.bury(1, { ...UNREADABLE, eventId: '1'.repeat(32), event: makeBare('repaired') })
      const { exitCode, stdout } = await redrive('repaired', '--canary', '2', '--wait')
      expect(JSON.parse(stdout)).toMatchObject({ redriven: 3, stored: 3, dead: 0, pending: 0 })
      expect(exitCode).toBe(0)
    })

    test('--wait counts two without event_id and timestamp as stored, and each is one row', async () => {
      const event = makeBare('nameless', { event_id: undefined })
      for (const _ of [1, 2]) {
        await lab.bury(1, { ...UNREADABLE, eventId: '3'.repeat(32), event })
        const { stdout, exitCode } = await redrive('nameless', '--wait')
        expect(JSON.parse(stdout)).toMatchObject({ redriven: 1, stored: 1, dead: 0, pending: 0 })
        expect(exitCode).toBe(0)
      }
      const { rowCount } = await lab.db.database.pool.query(
        "SELECT FROM notification_status WHERE source = 'nameless'",
      )
      expect(rowCount).toBe(2)
    })

    test('--wait counts one without event_id and timestamp whose user does not exist as dead', async () => {
      const event = makeBare('nobody', { event_id: undefined, user_id: randomUUID() })
      await lab.bury(1, { ...UNREADABLE, eventId: '4'.repeat(32), event })
      const { stdout } = await redrive('nobody', '--wait')
      expect(JSON.parse(stdout)).toMatchObject({ redriven: 1, stored: 0, dead: 1, pending: 0 })
    })

    test('--wait counts those that are dead for another reason now as dead', async () => {
      const event = makeBare('orphaned', { user_id: randomUUID() })
      await lab.bury(1, { ...UNREADABLE, eventId: '2'.repeat(32), event })
      const { stdout } = await redrive('orphaned', '--wait')
      expect(JSON.parse(stdout)).toMatchObject({ redriven: 1, stored: 0, dead: 1, pending: 0 })
    })
  })

  test('--wait ends with exit code 5 when nothing changes for --timeout, and says how many are open', async () => {
    const ids = await buryGood(2, 'given-up')
    worker.signal('SIGSTOP')
    try {
      const run = await redrive('given-up', '--wait', '--timeout', '300ms')
      expect(run).toMatchObject({ exitCode: 5 })
      expect(run.stderr).toContain('2 still open')
    } finally {
      worker.signal('SIGCONT')
    }
    await waitFor('the worker to go on', async () => (await countStored(ids)) === 2, { timeoutMs: 30_000 })
  })
})
