import type {
  ImportConflict,
  ImportedPreferences,
  ImportedStatusLog,
  ImportedUser,
  UserBatch,
  UserImport,
} from '@tidings/db/django/import-users'
import type { DjangoRecord, DjangoTable } from './records.ts'
import type { DjangoSource } from './source.ts'

/** What was found and what became of it. In a dry run `imported` is what would be. */
export interface ImportReport {
  dry_run: boolean
  /** False when it was interrupted: running it again does the rest. */
  complete: boolean
  users: {
    found: number
    imported: number
    updated: number
    already_there: number
    case_duplicates: number
    erased: number
    email_taken: number
    invalid: number
    inactive: number
    staff: number
    unusable_passwords: number
    max_iterations: number
  }
  preferences: { found: number; invalid: number }
  notification_status_logs: {
    found: number
    imported: number
    already_there: number
    unknown_user: number
    invalid: number
  }
  /** Those that were left out, the first of each kind. */
  conflicts: ImportConflict[]
  invalid: { table: DjangoTable; id: string; why: string }[]
}

export interface ImportOptions {
  dryRun: boolean
  signal: AbortSignal
  /** @param done of `total`, in the source's units. */
  onProgress(phase: string, done: number, total: number): void
}

/** Rows of one statement: an interruption loses at most this much work. */
const BATCH_ROWS = 1_000
const MAX_LISTED = 1_000

/** Reads all of a source and imports what can be. Doing it again changes nothing. */
export async function importFromDjango(
  source: DjangoSource,
  target: UserImport,
  { dryRun, signal, onProgress }: ImportOptions,
): Promise<ImportReport> {
  const report = createReport(dryRun)

  await stageAccounts()
  if (signal.aborted) return report
  const counts = await target.classify()
  report.users = {
    ...report.users,
    // A user who came twice counts once.
    found: counts.found + report.users.invalid,
    imported: dryRun ? counts.importable : 0,
    updated: dryRun ? counts.changed : 0,
    already_there: counts.alreadyThere,
    case_duplicates: counts.caseDuplicates,
    erased: counts.erased,
    email_taken: counts.emailTaken,
    inactive: counts.inactive,
    staff: counts.staff,
    unusable_passwords: counts.unusablePasswords,
    max_iterations: counts.maxIterations,
  }
  if (!dryRun) {
    await writeUsers('importing users', counts.importable, () => target.importUsers(BATCH_ROWS))
    await writeUsers('updating users', counts.changed, () => target.updateUsers(BATCH_ROWS))
  }
  // Only now: while users were written, somebody may have registered here with the address of one.
  report.conflicts = await target.listConflicts(MAX_LISTED)
  if (!signal.aborted) await importLogs()
  report.complete = !signal.aborted
  return report

  async function stageAccounts() {
    const users = batchOf<ImportedUser>((rows) => target.stageUsers(rows))
    const preferences = batchOf<ImportedPreferences>((rows) => target.stagePreferences(rows))
    const records = source.readAccounts((done) => onProgress('reading users', done, source.accountsTotal))
    for await (const record of records) {
      if (signal.aborted) return
      if (record.kind === 'user') {
        report.users.found++
        await users.add(record.row)
      } else if (record.kind === 'preferences') {
        report.preferences.found++
        await preferences.add(record.row)
      } else noteInvalid(record)
    }
    await users.flush()
    await preferences.flush()
  }

  /** Batch by batch until none is left. */
  async function writeUsers(phase: string, total: number, writeBatch: () => Promise<UserBatch>) {
    for (let done = 0; !signal.aborted; ) {
      const batch = await writeBatch()
      if (batch.taken === 0) break
      report.users.imported += batch.imported
      report.users.updated += batch.updated
      report.users.email_taken += batch.emailTaken
      report.users.already_there += batch.alreadyThere
      report.users.erased += batch.erased
      done += batch.taken
      onProgress(phase, done, Math.max(done, total))
    }
  }

  async function importLogs() {
    const logs = batchOf<ImportedStatusLog>(async (rows) => {
      const outcome = await target.importStatusLogs(rows, { dryRun })
      report.notification_status_logs.imported += outcome.imported
      report.notification_status_logs.already_there += outcome.alreadyThere
      report.notification_status_logs.unknown_user += outcome.unknownUser
    })
    const records = source.readLogs((done) => onProgress('status log', done, source.logsTotal))
    for await (const record of records) {
      if (signal.aborted) return
      if (record.kind === 'log') {
        report.notification_status_logs.found++
        await logs.add(record.row)
      } else noteInvalid(record)
    }
    await logs.flush()
  }

  function noteInvalid(record: DjangoRecord) {
    if (record.kind !== 'invalid') return
    const { table, id, why } = record
    if (table === 'users') {
      report.users.invalid++
      report.users.found++
    } else if (table === 'user_preferences') {
      report.preferences.invalid++
      report.preferences.found++
    } else {
      report.notification_status_logs.invalid++
      report.notification_status_logs.found++
    }
    if (report.invalid.length < MAX_LISTED) report.invalid.push({ table, id, why })
  }
}

/** Gathers rows and hands them on in batches. */
function batchOf<Row>(write: (rows: Row[]) => Promise<void>) {
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

function createReport(dryRun: boolean): ImportReport {
  return {
    dry_run: dryRun,
    complete: false,
    users: {
      found: 0,
      imported: 0,
      updated: 0,
      already_there: 0,
      case_duplicates: 0,
      erased: 0,
      email_taken: 0,
      invalid: 0,
      inactive: 0,
      staff: 0,
      unusable_passwords: 0,
      max_iterations: 0,
    },
    preferences: { found: 0, invalid: 0 },
    notification_status_logs: { found: 0, imported: 0, already_there: 0, unknown_user: 0, invalid: 0 },
    conflicts: [],
    invalid: [],
  }
}
