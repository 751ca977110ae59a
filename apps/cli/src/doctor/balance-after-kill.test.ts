import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bookAccepted, createIngestAccount } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { insertAudit } from '@tidings/db/operators/audit'
import { AUDIT_DELETE, AUDIT_IMPORT, AUDIT_INTENT } from '@tidings/db/operators/audit-actions'
import type { DeadLetterEntry } from '@tidings/queue/dead-letters/entry'
import { readBalance } from '@tidings/queue/event-balance'
import { statusEventSchema } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'

const COUNT = 5
/** Done when the command was killed. */
const DONE = 2

describeBackends('the books after a dlq command that was killed', (kind) => {
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
  })

  const run = async (...args: string[]) =>
    expect(await lab.cli.run('dlq', ...args)).toMatchObject({ exitCode: 0 })
  const books = () => readBalance(lab.db.database, lab.store)
  async function buryAccepted(count: number): Promise<DeadLetterEntry[]> {
    await bookAccepted(lab.db.database.pool, account, count)
    return lab.store.get(await lab.bury(count))
  }
  /** What a command leaves that is killed between its announcement and its end. */
  const announce = (action: string, entries: readonly DeadLetterEntry[]) =>
    insertAudit(lab.db.database, {
      actor: 'ada',
      action,
      selector: { run: randomUUID(), ids: entries.map(({ id }) => id) },
      matched: entries.length,
      changed: 0,
      result: AUDIT_INTENT,
    })
  async function killDeletion(entries: readonly DeadLetterEntry[]) {
    await run('export', file)
    await announce(AUDIT_DELETE, entries)
    await lab.store.discard(entries.slice(0, DONE))
  }
  async function killImport(entries: readonly DeadLetterEntry[]) {
    await run('export', file)
    await run('delete', '--all', '--yes')
    await announce(AUDIT_IMPORT, entries)
    await lab.store.restore(entries.slice(0, DONE))
  }

  test('a deletion, killed as a process is', async () => {
    const entries = 600
    await buryAccepted(entries)
    const { child, ended } = lab.cli.start('dlq', 'delete', '--all', '--yes')
    const isUnderway = async () => (await lab.store.count()) <= entries - 100
    await waitFor('the deletion to be in the middle', isUnderway, { intervalMs: 1, timeoutMs: 30_000 })
    child.kill('SIGKILL')
    await ended
    const left = await lab.store.count()
    expect(await books()).toMatchObject({ dead: left, deleted: entries - left, missing: 0 })
    expect(await lab.cli.run('doctor')).toMatchObject({ exitCode: 0 })
    if (left > 0) await run('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: 0, deleted: entries, missing: 0 })
  }, 120_000)

  test('a deletion, and the same command again', async () => {
    await killDeletion(await buryAccepted(COUNT))
    expect(await books()).toMatchObject({ dead: COUNT - DONE, deleted: DONE, missing: 0 })
    await run('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: 0, deleted: COUNT, missing: 0 })
  })

  test('a deletion that was taken back by an import', async () => {
    await killDeletion(await buryAccepted(COUNT))
    await run('import', file)
    expect(await books()).toMatchObject({ dead: COUNT, deleted: DONE, imported: DONE, missing: 0 })
    await run('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: 0, deleted: DONE + COUNT, imported: DONE, missing: 0 })
  })

  test('a deletion whose other entries were redriven and stored', async () => {
    await killDeletion(await buryAccepted(COUNT))
    await run('redrive', '--all', '--yes')
    const jobs = await lab.main.getJobs(['waiting'])
    const events = jobs.flatMap((job) => job.data.events.map((event) => statusEventSchema.parse(event)))
    await storeStatusEvents(lab.db.database, events)
    await lab.main.obliterate({ force: true })
    expect(await books()).toMatchObject({ stored: COUNT - DONE, dead: 0, deleted: DONE, missing: 0 })
  })

  test('an import, and the same command again', async () => {
    await killImport(await buryAccepted(COUNT))
    expect(await books()).toMatchObject({ dead: DONE, deleted: COUNT, imported: DONE, missing: 0 })
    await run('import', file)
    expect(await books()).toMatchObject({ dead: COUNT, deleted: COUNT, imported: COUNT, missing: 0 })
  })

  test('an import whose entries were deleted again', async () => {
    await killImport(await buryAccepted(COUNT))
    await run('delete', '--all', '--yes')
    expect(await books()).toMatchObject({ dead: 0, deleted: COUNT + DONE, imported: DONE, missing: 0 })
  })
})
