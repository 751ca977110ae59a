import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { bookAccepted, createIngestAccount } from '@tidings/db/events/ingest-counters'
import { INTENT_SIZE } from '@tidings/queue/dead-letters/delete'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { readBalance } from '@tidings/queue/event-balance'
import { StoreUnreachableError } from '@tidings/queue/store-unreachable'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { createContext } from '../context.ts'
import { createProgram } from '../program.ts'
import { createTerminal } from '../terminal/terminal.ts'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'

const BATCH = 100
/** One announcement that was carried out, and half of the next. */
const DONE = INTENT_SIZE + 2 * BATCH
const COUNT = DONE + 2 * BATCH

describeBackends('the books after a dlq command that ended in an error', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab
  let file: string

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
    const folder = await mkdtemp(join(tmpdir(), 'tidings-books-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    file = join(folder, 'entries.ndjson')
  })
  beforeEach(async () => {
    await lab.empty()
    await lab.db.database.pool.query('TRUNCATE ingest_accounts')
    await rm(file, { force: true })
    await bookAccepted(lab.db.database.pool, createIngestAccount('api'), COUNT)
    await lab.bury(COUNT)
  })

  const run = async (...args: string[]) =>
    expect(await lab.cli.run('dlq', ...args)).toMatchObject({ exitCode: 0 })
  const books = () => readBalance(lab.db.database, lab.store)
  const ends = async (action: string) =>
    (
      await lab.db.database.pool.query(
        `SELECT changed, result FROM operator_audit
         WHERE action = $1 AND result NOT IN ('started', 'batch') ORDER BY id`,
        [action],
      )
    ).rows

  /** Runs a command on a store that does the batch up to DONE and then loses the answer. */
  async function runAndLoseAnswer(...args: string[]) {
    const [stdin, stdout, stderr] = [
      new PassThrough(),
      new PassThrough().resume(),
      new PassThrough().resume(),
    ]
    const terminal = createTerminal({ stdin, stdout, stderr }, false)
    const context = createContext(terminal, lab.cli.env, { onInterrupt: () => undefined })
    let done = 0
    async function losing<Result>(
      entries: readonly unknown[],
      change: () => Promise<Result>,
    ): Promise<Result> {
      const result = await change()
      done += entries.length
      if (done === DONE) throw new StoreUnreachableError('The answer was lost.')
      return result
    }
    const store: DeadLetterStore = {
      ...lab.store,
      discard: (entries) => losing(entries, () => lab.store.discard(entries)),
      restore: (entries) => losing(entries, () => lab.store.restore(entries)),
    }
    const program = createProgram({ ...context, deadLetters: async () => store })
    await expect(program.parseAsync(['dlq', ...args], { from: 'user' })).rejects.toThrow(
      'The answer was lost.',
    )
    await context.release()
  }

  test('a deletion, and the same command again', async () => {
    await runAndLoseAnswer('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: COUNT - DONE, deleted: DONE, missing: 0 })
    expect(await lab.cli.run('doctor')).toMatchObject({ exitCode: 0 })
    await run('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: 0, deleted: COUNT, missing: 0 })
    expect(await ends('dlq.delete')).toEqual([
      { changed: INTENT_SIZE, result: expect.stringMatching(/^broken: .*The answer was lost/) },
      { changed: COUNT - DONE, result: 'done' },
    ])
  })

  test('an import, and the same command again', async () => {
    await run('export', file)
    await run('delete', '--all', '--yes')
    await runAndLoseAnswer('import', file)
    expect(await books()).toMatchObject({ dead: DONE, deleted: COUNT, imported: DONE, missing: 0 })
    await run('import', file)
    expect(await books()).toMatchObject({ dead: COUNT, deleted: COUNT, imported: COUNT, missing: 0 })
  })

  test('an import does not hide the loss of an entry that it brought back', async () => {
    await run('export', file)
    await run('delete', '--all', '--yes')
    await runAndLoseAnswer('import', file)
    const [first] = await lab.store.page({ limit: 1 })
    await lab.store.discard(first ? [first.entry] : [])
    expect(await books()).toMatchObject({ imported: DONE, missing: 1 })
    expect(await lab.cli.run('doctor')).toMatchObject({ exitCode: 1 })
  })

  test('an import that said what it did, and complained of a line', async () => {
    const exported = (await lab.cli.run('dlq', 'export')).stdout
    await run('delete', '--all', '--yes')
    expect(await lab.cli.pipe(`nonsense\n${exported}`, 'dlq', 'import', '-')).toMatchObject({ exitCode: 5 })
    await run('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: 0, deleted: 2 * COUNT, imported: COUNT, missing: 0 })
    expect(await ends('dlq.import')).toEqual([{ changed: COUNT, result: expect.stringMatching(/^done: /) }])
  })
})
