import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readDeadLetterChanges } from '@tidings/db/operators/audit'
import { scanDeadLetters } from '@tidings/queue/dead-letters/store'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'
import { CLI_COMMAND, type Cli, linesOf } from '../../testing/cli-process.ts'

const ENTRIES = 600

describeBackends('a dlq command that is cut short', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab
  let cli: Cli
  let folder: string

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
    cli = lab.cli
    folder = await mkdtemp(join(tmpdir(), 'tidings-cli-kill-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
  })
  beforeEach(() => lab.empty())

  const deadIds = async () => {
    const ids: string[] = []
    for await (const page of scanDeadLetters(lab.store, { pageSize: 500 }))
      ids.push(...page.map(({ entry }) => entry.id))
    return ids
  }
  /** Every entry in exactly one place, none twice. */
  const assertWhole = async (ids: readonly string[]) => {
    const places = [...(await deadIds()), ...(await lab.queuedIds())]
    expect(places.toSorted()).toEqual([...ids].toSorted())
  }
  const isUnderway = (left: number) =>
    waitFor('the command to be in the middle', async () => (await lab.store.count()) <= left, {
      intervalMs: 1,
      timeoutMs: 30_000,
    })

  test('killed while it redrives: each entry is dead or queued, and the next run does the rest', async () => {
    const ids = await lab.bury(ENTRIES)
    for (const left of [ENTRIES - 100, ENTRIES - 300]) {
      const { child, ended } = cli.start('dlq', 'redrive', '--all', '--yes')
      await isUnderway(left)
      child.kill('SIGKILL')
      await ended
      await assertWhole(ids)
    }
    await cli.run('dlq', 'redrive', '--all', '--yes')
    expect(await lab.store.count()).toBe(0)
    await assertWhole(ids)
  }, 120_000)

  test('Ctrl-C while it redrives: the batch is finished, exit code 5, and it says how to go on', async () => {
    const ids = await lab.bury(ENTRIES)
    const { child, ended } = cli.start('dlq', 'redrive', '--all', '--yes', '--rate', '100/s')
    await isUnderway(ENTRIES - 100)
    child.kill('SIGINT')
    const run = await ended
    expect(run).toMatchObject({ exitCode: 5 })
    expect(run.stderr).toContain('The same command again does the rest')
    expect(await lab.store.count()).toBeGreaterThan(0)
    await assertWhole(ids)
    const { rows } = await lab.db.database.pool.query(
      "SELECT changed FROM operator_audit WHERE result LIKE 'interrupted%'",
    )
    expect(rows).toEqual([{ changed: ENTRIES - (await lab.store.count()) }])
  }, 120_000)

  test('a Ctrl-C that npm passes on once more is one Ctrl-C', async () => {
    const ids = await lab.bury(ENTRIES)
    const { child, ended } = cli.start('dlq', 'redrive', '--all', '--yes', '--rate', '100/s')
    await isUnderway(ENTRIES - 100)
    // Two of the same kind could become one on the way.
    child.kill('SIGINT')
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ exitCode: 5 })
    expect(await lab.store.count()).toBeGreaterThan(0)
    await assertWhole(ids)
  }, 120_000)

  const auditRows = async () =>
    (
      await lab.db.database.pool.query<{ changed: number; result: string }>(
        'SELECT changed, result FROM operator_audit ORDER BY at, id',
      )
    ).rows

  test('Ctrl-C before the first batch: the books say that nothing was changed', async () => {
    const ids = await lab.bury(2)
    const { pool } = lab.db.database
    const client = await pool.connect()
    try {
      await client.query('BEGIN; LOCK TABLE operator_audit')
      const { child, ended } = cli.start('dlq', 'redrive', '--all', '--yes')
      const waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'operator_audit'::regclass"
      const isWaiting = async () => (await pool.query(waiting)).rows.length > 0
      await waitFor('the first row to be written', isWaiting, { timeoutMs: 30_000 })
      child.kill('SIGINT')
      await client.query('COMMIT')
      expect(await ended).toMatchObject({ exitCode: 5 })
    } finally {
      client.release()
    }
    expect(await auditRows()).toMatchObject([
      { result: 'started' },
      { result: expect.stringMatching(/^interrupted/), changed: 0 },
    ])
    expect(await deadIds()).toEqual(ids)
  }, 120_000)

  test('a reader that goes away, as head does, ends it after the batch: exit code 5, and the books know', async () => {
    await lab.bury(ENTRIES)
    const redrive = `{ '${CLI_COMMAND}' dlq redrive --all --yes --rate 100/s -o id; echo $? >&3; } | head -1 >&2`
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', `{ ${redrive}; } 3>&1`], {
      env: cli.env,
    })
    expect(stdout.trim()).toBe('5')
    expect(linesOf(stderr)[0]).toMatch(/^dead-/)
    const left = await lab.store.count()
    expect(left).toBeGreaterThan(0)
    expect(await auditRows()).toMatchObject([
      { result: 'started' },
      { result: expect.stringMatching(/^interrupted/), changed: ENTRIES - left },
    ])
  }, 120_000)

  test('killed while it deletes: what is gone was exported and is known to the books', async () => {
    const ids = await lab.bury(ENTRIES)
    const file = join(folder, 'deleted.ndjson')
    const { child, ended } = cli.start('dlq', 'delete', '--all', '--yes', '--export-first', file)
    await isUnderway(ENTRIES - 100)
    child.kill('SIGKILL')
    await ended
    const left = new Set(await deadIds())
    const gone = ids.filter((id) => !left.has(id))
    const { deleted, unfinished } = await readDeadLetterChanges(lab.db.database)
    const announced = unfinished.flatMap((run) => run.ids)
    // Either it was killed in the middle, or it had just finished.
    expect(deleted + announced.filter((id) => !left.has(id)).length).toBe(gone.length)
    await cli.run('dlq', 'import', file)
    expect((await deadIds()).toSorted()).toEqual(ids.toSorted())
  }, 120_000)

  test('killed while it imports: the next run brings the rest, none twice', async () => {
    const ids = await lab.bury(ENTRIES)
    const file = join(folder, 'all.ndjson')
    await cli.run('dlq', 'export', file)
    await cli.run('dlq', 'delete', '--all', '--yes')
    const { child, ended } = cli.start('dlq', 'import', file)
    await waitFor('the import to be in the middle', async () => (await lab.store.count()) > 0, {
      intervalMs: 1,
      timeoutMs: 30_000,
    })
    child.kill('SIGKILL')
    await ended
    expect(await cli.run('dlq', 'import', file)).toMatchObject({ exitCode: 0 })
    expect((await deadIds()).toSorted()).toEqual(ids.toSorted())
  }, 120_000)

  test('two operators redriving the same at once: each entry queued once, counts add up', async () => {
    const ids = await lab.bury(ENTRIES)
    const runs = await Promise.all(
      [1, 2].map(() => cli.start('dlq', 'redrive', '--all', '--yes', '-o', 'json').ended),
    )
    const redriven = runs.map((run) => JSON.parse(run.stdout).redriven as number)
    expect(redriven.reduce((sum, n) => sum + n, 0)).toBe(ENTRIES)
    expect((await lab.queuedIds()).toSorted()).toEqual(ids.toSorted())
  }, 120_000)
})
