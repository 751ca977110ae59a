import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { recordErasure } from '@tidings/db/users/erased-users'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, test } from 'vitest'
import { useEmptyCliLab } from '../../testing/cli-lab.ts'
import { linesOf } from '../../testing/cli-process.ts'

describeBackends('tidings dlq delete, export and import', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidings-cli-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
  })

  test('delete --export-first exports the selected entries, and import restores them in full', async () => {
    const ids = await lab.bury(6)
    const before = await lab.store.get(ids)
    const file = join(folder, `${kind}-deleted.ndjson`)
    const deleted = await cli.run(
      'dlq',
      'delete',
      '--reason',
      'unknown_user',
      '--export-first',
      file,
      '--yes',
    )
    expect(deleted).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(0)
    expect((await stat(file)).mode & 0o077).toBe(0)
    expect((await cli.run('dlq', 'import', file, '--dry-run')).stderr).toContain('Would import 6')
    expect(await lab.store.count()).toBe(0)
    expect(await cli.run('dlq', 'import', file)).toMatchObject({ exitCode: 0 })
    expect(await lab.store.get(ids)).toEqual(before)
    expect((await cli.run('dlq', 'import', file)).stderr).toContain('6 already there')
    for (const yes of [['--yes'], []]) {
      // The command says so before it asks.
      const second = await cli.run('dlq', 'delete', '--all', '--export-first', file, ...yes)
      expect(second).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`${file} exists.`) })
    }
    expect(await lab.store.count()).toBe(6)
    expect((await lab.audit()).filter(({ result }) => result === 'done')).toMatchObject([
      { action: 'dlq.delete', changed: 6 },
      { action: 'dlq.import', changed: 6 },
      { action: 'dlq.import', changed: 0 },
    ])
  })

  test('export and import are a round trip without loss, also of strange events', async () => {
    const strange = [
      null,
      'text',
      42,
      ['list'],
      { id: 'x', text: 'Zeile\u2028\ttab "quote" é 漢 😀', deep: { a: [1, { b: null }] } },
    ]
    for (const event of strange) await lab.bury(1, { event, reason: 'invalid_event' })
    const exported = await cli.run('dlq', 'export')
    expect(linesOf(exported.stdout)).toHaveLength(strange.length)
    const file = join(folder, `${kind}-all.ndjson`)
    await cli.run('dlq', 'export', file)
    expect(await readFile(file, 'utf8')).toBe(exported.stdout)
    await cli.run('dlq', 'delete', '--all', '--yes')
    expect(await cli.pipe(exported.stdout, 'dlq', 'import', '-')).toMatchObject({ exitCode: 0 })
    expect((await cli.run('dlq', 'export')).stdout).toBe(exported.stdout)
  })

  test('export, delete and import keep an unreadable entry, also when another event with its id is stored', async () => {
    const stored = makeEvent()
    await storeStatusEvents(lab.db.database, [stored])
    const [id = ''] = await lab.bury(1, {
      ...{ eventId: stored.id, fields: { status: 'lost' }, reason: 'invalid_event' },
      error: { code: 'invalid_event', message: 'status: Invalid option' },
    })
    const { stdout } = await cli.run('dlq', 'export')
    await cli.run('dlq', 'delete', '--all', '--yes')
    expect(await cli.pipe(stdout, 'dlq', 'import', '-')).toMatchObject({ exitCode: 0 })
    expect((await lab.store.get([id])).map((entry) => entry.id)).toEqual([id])
  })

  test('import reports wrong lines and imports the others', async () => {
    await lab.bury(1)
    const good = (await cli.run('dlq', 'export')).stdout
    await cli.run('dlq', 'delete', '--all', '--yes')
    const mixed = await cli.pipe(`nonsense\n${good}{"id":"active"}\n`, 'dlq', 'import', '-')
    expect(mixed).toMatchObject({ exitCode: 5 })
    expect(mixed.stderr).toMatch(/Line 1 is not JSON[\s\S]*Line 3 is not a dead letter/)
    expect(await lab.store.count()).toBe(1)
    expect(await cli.pipe('nonsense\n', 'dlq', 'import', '-')).toMatchObject({ exitCode: 1 })
    expect(await cli.run('dlq', 'import', join(folder, 'absent'))).toMatchObject({ exitCode: 3 })
  })

  test('import redacts entries of users who were erased meanwhile', async () => {
    const [erased, other] = [randomUUID(), randomUUID()]
    const texts = { error: 'no box ada@example.com', metadata: { to: 'ada@example.com' } }
    const [theirs = ''] = await lab.bury(1, { fields: { user_id: erased.toUpperCase(), ...texts } })
    const [another = ''] = await lab.bury(1, { fields: { user_id: other, ...texts } })
    const before = await lab.store.get([another])
    const exported = (await cli.run('dlq', 'export')).stdout
    await cli.run('dlq', 'delete', '--all', '--yes')
    await recordErasure(lab.db.database, erased)
    expect(await cli.pipe(exported, 'dlq', 'import', '-')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.get([another])).toEqual(before)
    const [entry] = await lab.store.get([theirs])
    expect(entry).toMatchObject({ event: { error: '[erased]' }, error: { message: '[erased]' } })
    expect(JSON.stringify(entry).toLowerCase()).not.toMatch(new RegExp(`${erased}|ada@`))
  })
})
