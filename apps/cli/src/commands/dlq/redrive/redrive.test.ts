import { randomUUID } from 'node:crypto'
import { eventIdOf } from '@tidings/queue/dead-letters/entry-id'
import { MAX_JOB_LENGTH } from '@tidings/queue/policy'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { useEmptyCliLab } from '../../../testing/cli-lab.ts'
import { linesOf } from '../../../testing/cli-process.ts'

describeBackends('tidings dlq redrive', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)

  test('redrive by id puts the event back with its count, and writes two audit rows', async () => {
    const [id = '', other] = await lab.bury(2)
    expect(await cli.run('dlq', 'redrive', id)).toMatchObject({ exitCode: 0, stdout: '' })
    const [job] = await lab.queuedJobs()
    expect(job?.data.events).toMatchObject([{ id: eventIdOf(id), redrives: 1 }])
    expect(await lab.store.get([id, other ?? ''])).toHaveLength(1)
    expect(await lab.audit()).toMatchObject([
      { actor: 'ada', action: 'dlq.redrive', result: 'started' },
      {
        actor: 'ada',
        action: 'dlq.redrive',
        changed: 1,
        result: 'done',
        selector: { selection: { ids: [id] } },
      },
    ])
    expect(await cli.run('dlq', 'redrive', id)).toMatchObject({ exitCode: 3 })
    expect(await cli.run('dlq', 'redrive', id, other ?? '', '--yes')).toMatchObject({ exitCode: 5 })
  })

  test('a list of ids pipes into redrive', async () => {
    const ids = await lab.bury(5)
    const list = await cli.run('dlq', 'list', '-o', 'id', '--limit', '3')
    expect(await cli.pipe(list.stdout, 'dlq', 'redrive', '-', '--yes')).toMatchObject({ exitCode: 0 })
    expect((await lab.queuedIds()).toSorted()).toEqual(ids.slice(2).toSorted())
  })

  test('redrive by filter and group leaves the others; --max limits, --dry-run changes nothing', async () => {
    await lab.bury(4)
    await lab.bury(3, { reason: 'stalled', error: { code: 'stalled', message: 'x' } })
    const dry = await cli.run('dlq', 'redrive', '--reason', 'stalled', '--dry-run', '-o', 'id')
    expect(dry).toMatchObject({ exitCode: 0 })
    expect(linesOf(dry.stdout)).toHaveLength(3)
    expect(await lab.store.count()).toBe(7)
    expect(await lab.audit()).toEqual([])
    const part = await cli.run('dlq', 'redrive', '--all', '--max', '2', '--dry-run', '-o', 'id')
    expect(linesOf(part.stdout)).toHaveLength(2)
    expect(part.stderr).toMatch(/^Dry run: the first 2 of 7 entries, [\s\S]*Would redrive 2 entries/)
    const [group = ''] = linesOf((await cli.run('dlq', 'groups', '-o', 'id', '--reason', 'stalled')).stdout)
    expect(await cli.run('dlq', 'redrive', '--group', group, '--max', '2', '--yes')).toMatchObject({
      exitCode: 0,
    })
    expect(await lab.store.count()).toBe(5)
    const all = await cli.run('dlq', 'redrive', '--all', '--yes', '-o', 'json')
    expect(JSON.parse(all.stdout)).toMatchObject({ matched: 5, redriven: 5, end: 'done' })
    expect(await lab.queuedIds()).toHaveLength(7)
  })

  test('redrive and delete take an event id for all its entries, and say which ids are unknown', async () => {
    const [other = ''] = await lab.bury(1)
    const first = await lab.buryConflict()
    expect(await cli.run('dlq', 'redrive', first.eventId, '--yes')).toMatchObject({ exitCode: 0 })
    expect((await lab.queuedIds()).toSorted()).toEqual(first.ids.toSorted())
    const second = await lab.buryConflict()
    expect(await cli.run('dlq', 'delete', second.eventId, '--yes')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(1)
    for (const command of ['redrive', 'delete'])
      expect(await cli.run('dlq', command, randomUUID(), '--yes')).toMatchObject({ exitCode: 3 })
    expect(await cli.run('dlq', 'delete', eventIdOf(other), randomUUID(), '--yes')).toMatchObject({
      exitCode: 5,
    })
    expect(await lab.store.count()).toBe(0)
  })

  test('entries redriven three times stay unless forced', async () => {
    const [id = ''] = await lab.bury(1, { redrives: 3 })
    const refused = await cli.run('dlq', 'redrive', id)
    expect(refused).toMatchObject({ exitCode: 5 })
    expect(refused.stderr).toContain('--force')
    expect(await cli.run('dlq', 'redrive', id, '--force')).toMatchObject({ exitCode: 0 })
    const [job] = await lab.queuedJobs()
    expect(job?.data.events[0]?.redrives).toBe(4)
  })

  // The store of each backend has this test too: packages/queue/src/dead-letters/size.test.ts.
  test.runIf(kind === 'postgres')(
    'an entry that is too long for the queue stays, also with --force, and can be exported',
    async () => {
      const page = 'x'.repeat(MAX_JOB_LENGTH)
      const [id = ''] = await lab.bury(1, { fields: { metadata: { page } } })
      await lab.bury(1)
      expect((await cli.run('dlq', 'redrive', '--all', '--dry-run', '--force')).stdout).not.toContain(id)
      const redrive = await cli.run('dlq', 'redrive', '--all', '--force', '--yes', '-o', 'json')
      expect(redrive.exitCode).toBe(5)
      expect(JSON.parse(redrive.stdout)).toMatchObject({ matched: 2, redriven: 1, oversized: 1, gone: 0 })
      expect(redrive.stderr).toContain('left 1 too long for the queue')
      const { stdout } = await cli.run('dlq', 'export')
      expect(JSON.parse(stdout)).toMatchObject({ id, event: { metadata: { page } } })
    },
  )

  test('--rate keeps to the rate', async () => {
    await lab.bury(12)
    const startedAt = performance.now()
    expect(await cli.run('dlq', 'redrive', '--all', '--yes', '--rate', '24/s')).toMatchObject({ exitCode: 0 })
    expect(performance.now() - startedAt).toBeGreaterThan(500)
  })
})
