import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { scanDeadLetters } from '@tidings/queue/dead-letters/scan'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, test } from 'vitest'
import { useEmptyCliLab } from '../../testing/cli-lab.ts'
import { CLI_COMMAND, linesOf } from '../../testing/cli-process.ts'

/** Several batches: the command is killed or interrupted between two of them. */
const ENTRIES = 400

describeBackends('a dlq command that is killed or interrupted', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidings-cli-kill-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
  })

  const deadIds = async () => {
    const ids: string[] = []
    for await (const page of scanDeadLetters(lab.store, { pageSize: 500 }))
      ids.push(...page.map(({ entry }) => entry.id))
    return ids
  }
  /** Checks that every entry is in one place, none twice. */
  const assertWhole = async (ids: readonly string[]) => {
    const places = [...(await deadIds()), ...(await lab.queuedIds())]
    expect(places.toSorted()).toEqual([...ids].toSorted())
  }
  const isUnderway = (left: number) =>
    waitFor('the command to be in the middle', async () => (await lab.store.count()) <= left, {
      intervalMs: 1,
      timeoutMs: 30_000,
    })

  test('redrive, killed: each entry is dead or queued, and the next run does the rest', async () => {
    const ids = await lab.bury(ENTRIES)
    const { child, ended } = cli.start('dlq', 'redrive', '--all', '--yes')
    await isUnderway(ENTRIES - 100)
    child.kill('SIGKILL')
    await ended
    await assertWhole(ids)
    await cli.run('dlq', 'redrive', '--all', '--yes')
    expect(await lab.store.count()).toBe(0)
    await assertWhole(ids)
  })

  test('redrive, interrupted: finishes the batch, ends with exit code 5 and says how to continue', async () => {
    const ids = await lab.bury(ENTRIES)
    const { interrupt, ended } = cli.begin('dlq', 'redrive', '--all', '--yes', '--rate', '200/s')
    await isUnderway(ENTRIES - 50)
    interrupt()
    const run = await ended
    expect(run).toMatchObject({ exitCode: 5 })
    expect(run.stderr).toContain('The same command again does the rest')
    const left = await lab.store.count()
    expect(left).toBeGreaterThan(0)
    await assertWhole(ids)
    expect(await lab.audit()).toMatchObject([
      { result: 'started' },
      { result: expect.stringMatching(/^interrupted/), changed: ENTRIES - left },
    ])
  })

  test('redrive, interrupted before the first batch: the second audit row says that nothing was changed', async () => {
    const ids = await lab.bury(2)
    const { pool } = lab.db.database
    const client = await pool.connect()
    try {
      await client.query('BEGIN; LOCK TABLE operator_audit')
      const { interrupt, ended } = cli.begin('dlq', 'redrive', '--all', '--yes')
      const waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'operator_audit'::regclass"
      const isWaiting = async () => (await pool.query(waiting)).rows.length > 0
      await waitFor('the first row to be written', isWaiting, { timeoutMs: 30_000 })
      interrupt()
      await client.query('COMMIT')
      expect(await ended).toMatchObject({ exitCode: 5 })
    } finally {
      client.release()
    }
    expect(await lab.audit()).toMatchObject([
      { result: 'started' },
      { result: expect.stringMatching(/^interrupted/), changed: 0 },
    ])
    expect(await deadIds()).toEqual(ids)
  })

  // Signals and pipes do not depend on the queue.
  test.runIf(kind === 'postgres')(
    'redrive in a process: Ctrl-C, and a reader that goes away as head does, end it with exit code 5',
    async () => {
      await lab.bury(ENTRIES)
      const { child, ended } = cli.start('dlq', 'redrive', '--all', '--yes', '--rate', '200/s')
      await isUnderway(ENTRIES - 50)
      // Two signals of one kind could be delivered as one.
      child.kill('SIGINT')
      child.kill('SIGTERM')
      expect(await ended).toMatchObject({ exitCode: 5 })
      expect(await lab.store.count()).toBeGreaterThan(0)

      const redrive = `{ '${CLI_COMMAND}' dlq redrive --all --yes --rate 50/s -o id; echo $? >&3; } | head -1 >&2`
      const { stdout, stderr } = await promisify(execFile)('sh', ['-c', `{ ${redrive}; } 3>&1`], {
        env: cli.env,
      })
      expect(stdout.trim()).toBe('5')
      expect(linesOf(stderr)[0]).toMatch(/^dead-/)
      expect(await lab.store.count()).toBeGreaterThan(0)
      const results = (await lab.audit()).map(({ result }) => result.split(':')[0])
      expect(results).toEqual(['started', 'interrupted', 'started', 'interrupted'])
    },
  )

  test('delete, killed: every deleted entry was exported, and the next run deletes the rest', async () => {
    const ids = await lab.bury(ENTRIES)
    const file = join(folder, 'deleted.ndjson')
    const { child, ended } = cli.start('dlq', 'delete', '--all', '--yes', '--export-first', file)
    await isUnderway(ENTRIES - 100)
    child.kill('SIGKILL')
    await ended
    const left = new Set(await deadIds())
    const exported = new Set(linesOf(await readFile(file, 'utf8')).map((line) => JSON.parse(line).id))
    expect(ids.filter((id) => !left.has(id) && !exported.has(id))).toEqual([])
    const rows = await lab.audit()
    // A run that had just finished has its second row.
    if (left.size > 0) expect(rows).toMatchObject([{ result: 'started' }])
    await cli.run('dlq', 'import', file)
    expect((await deadIds()).toSorted()).toEqual(ids.toSorted())
    expect(await cli.run('dlq', 'delete', '--all', '--yes')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(0)
    expect((await lab.audit()).at(-1)).toMatchObject({ changed: ENTRIES, result: 'done' })
  })

  test('import, killed: the next run does the rest, none twice', async () => {
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
  })

  test('two operators redrive the same entries at once: each is queued once, the counts add up', async () => {
    const ids = await lab.bury(ENTRIES)
    const runs = await Promise.all(
      [1, 2].map(() => cli.run('dlq', 'redrive', '--all', '--yes', '-o', 'json')),
    )
    const redriven = runs.map((run) => JSON.parse(run.stdout).redriven as number)
    expect(redriven.reduce((sum, n) => sum + n, 0)).toBe(ENTRIES)
    expect((await lab.queuedIds()).toSorted()).toEqual(ids.toSorted())
  })
})
