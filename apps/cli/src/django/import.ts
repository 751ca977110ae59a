import type { UserBatch, UserImport } from '@tidings/db/django/import-users'
import type { ImportedPreferences, ImportedStatusLog, ImportedUser } from '@tidings/db/django/imported-rows'
import { addInvalid, countPasswords, createReport, type ImportReport, MAX_LISTED } from './report.ts'
import type { DjangoSource } from './source.ts'

export interface ImportOptions {
  dryRun: boolean
  /** Ends the import after the batch in hand. */
  signal: AbortSignal
  /** @param done of `total`, in the source's units. */
  onProgress(phase: string, done: number, total: number): void
}

/** Rows of one statement: an interruption loses at most this much work. */
const BATCH_ROWS = 1_000

/** Imports all users and status logs of a source. Importing it again changes nothing. */
export function importFromDjango(
  source: DjangoSource,
  target: UserImport,
  options: ImportOptions,
): Promise<ImportReport> {
  return new DjangoImport(source, target, options).run()
}

class DjangoImport {
  readonly #source: DjangoSource
  readonly #target: UserImport
  readonly #options: ImportOptions
  readonly #report: ImportReport

  constructor(source: DjangoSource, target: UserImport, options: ImportOptions) {
    this.#source = source
    this.#target = target
    this.#options = options
    this.#report = createReport(options.dryRun)
  }

  async run(): Promise<ImportReport> {
    const { dryRun, signal } = this.#options
    await this.#stageAccounts()
    if (signal.aborted) return this.#report
    const { importable, changed } = await this.#classifyUsers()
    if (!dryRun) {
      await this.#writeUsers('importing users', importable, () => this.#target.importUsers(BATCH_ROWS))
      await this.#writeUsers('updating users', changed, () => this.#target.updateUsers(BATCH_ROWS))
    }
    const conflicts = await this.#target.findConflicts({ limit: MAX_LISTED, dryRun })
    this.#report.conflicts = conflicts.listed
    this.#report.users.replaced = conflicts.replaced
    this.#report.users.push_token_conflicts = conflicts.lostTokens
    if (!signal.aborted) await this.#importLogs()
    this.#report.complete = !signal.aborted
    return this.#report
  }

  async #stageAccounts(): Promise<void> {
    const { signal, onProgress } = this.#options
    const users = createBatch<ImportedUser>((rows) => this.#target.stageUsers(rows))
    const preferences = createBatch<ImportedPreferences>((rows) => this.#target.stagePreferences(rows))
    const total = this.#source.accountsTotal
    for await (const record of this.#source.readAccounts((done) =>
      onProgress('reading users', done, total),
    )) {
      if (signal.aborted) return
      if (record.kind === 'user') {
        this.#report.users.found++
        await users.add(record.row)
      } else if (record.kind === 'preferences') {
        this.#report.preferences.found++
        await preferences.add(record.row)
      } else if (record.kind === 'invalid') addInvalid(this.#report, record)
    }
    await users.flush()
    await preferences.flush()
  }

  async #classifyUsers() {
    const { dryRun } = this.#options
    const counts = await this.#target.classify()
    const { users } = this.#report
    Object.assign(users, {
      // The staged users, not the rows read: a user who came twice counts once.
      found: counts.found + users.invalid,
      imported: dryRun ? counts.importable : 0,
      updated: dryRun ? counts.changed : 0,
      already_there: counts.alreadyThere,
      case_duplicates: counts.caseDuplicates,
      erased: counts.erased,
      email_taken: counts.emailTaken,
      inactive: counts.inactive,
      staff: counts.staff,
      ...countPasswords(counts.passwords),
      max_iterations: counts.maxIterations,
    } satisfies Partial<ImportReport['users']>)
    return counts
  }

  /** Writes batch by batch until no user is left. */
  async #writeUsers(phase: string, total: number, writeBatch: () => Promise<UserBatch>): Promise<void> {
    const { users } = this.#report
    for (let done = 0; !this.#options.signal.aborted; ) {
      const batch = await writeBatch()
      if (batch.taken === 0) break
      users.imported += batch.imported
      users.updated += batch.updated
      users.email_taken += batch.emailTaken
      users.already_there += batch.alreadyThere
      users.erased += batch.erased
      done += batch.taken
      this.#options.onProgress(phase, done, Math.max(done, total))
    }
  }

  async #importLogs(): Promise<void> {
    const { dryRun, signal, onProgress } = this.#options
    const counts = this.#report.notification_status_logs
    const logs = createBatch<ImportedStatusLog>(async (rows) => {
      const outcome = await this.#target.importStatusLogs(rows, { dryRun })
      counts.imported += outcome.imported
      counts.already_there += outcome.alreadyThere
      counts.unknown_user += outcome.unknownUser
    })
    const total = this.#source.logsTotal
    for await (const record of this.#source.readLogs((done) => onProgress('status log', done, total))) {
      if (signal.aborted) return
      if (record.kind === 'log') {
        counts.found++
        await logs.add(record.row)
      } else if (record.kind === 'invalid') addInvalid(this.#report, record)
    }
    await logs.flush()
  }
}

/** Gathers rows and writes BATCH_ROWS at once. */
function createBatch<Row>(write: (rows: Row[]) => Promise<void>) {
  let rows: Row[] = []
  async function flush() {
    if (rows.length === 0) return
    const full = rows
    rows = []
    await write(full)
  }
  return {
    async add(row: Row) {
      rows.push(row)
      if (rows.length >= BATCH_ROWS) await flush()
    },
    flush,
  }
}
