import { UserImport } from '@tidings/db/django/import-users'
import { withAudit } from '../../audit.ts'
import type { CliContext } from '../../context.ts'
import { openDumpdataSource } from '../../django/dumpdata-source.ts'
import { importFromDjango } from '../../django/import.ts'
import { openPostgresSource } from '../../django/postgres-source.ts'
import type { ImportReport } from '../../django/report.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { createMask } from '../../mask-output.ts'
import { writeItem } from '../../terminal/output.ts'
import { type ProgressBar, startProgress } from '../../terminal/progress.ts'
import { describeImport } from './describe-import.ts'

/**
 * Imports from the Django user service and writes the report.
 *
 * @param from a database URL, or the path of a dumpdata file.
 * @throws CliError `partial` when rows were not imported.
 */
export async function importDjango(context: CliContext, from: string, dryRun: boolean): Promise<void> {
  if (!dryRun) context.assertWritable()
  const source = /^postgres(ql)?:\/\//.test(from)
    ? await openPostgresSource(from)
    : await openDumpdataSource(context.resolvePath(from))
  const signal = context.interruption()
  let report: ImportReport | undefined
  const run = async () => {
    const { DATABASE_URL, DATABASE_DIRECT_URL } = context.env()
    // It fills temporary tables, which belong to one connection.
    const target = await UserImport.open(DATABASE_DIRECT_URL ?? DATABASE_URL)
    const progress = createPhases(context)
    try {
      report = await importFromDjango(source, target, { dryRun, signal, onProgress: progress.show })
    } finally {
      progress.stop()
      await target.close()
    }
    return report
  }
  try {
    if (dryRun) await run()
    else {
      await withAudit(
        context,
        { action: 'users.import-django', selector: { source: source.name } },
        async (audit) => {
          const { users, notification_status_logs: logs, complete } = await run()
          audit.matched = users.found + logs.found
          audit.changed = users.imported + users.updated + users.replaced + logs.imported
          audit.result = complete ? 'done' : 'interrupted'
        },
      )
    }
  } finally {
    await source.close()
  }
  if (report !== undefined) await reportImport(context, report, from)
}

/** Shows one progress bar a phase. */
function createPhases(context: CliContext) {
  let current: { phase: string; bar: ProgressBar } | undefined
  const stop = () => {
    current?.bar.stop()
    current = undefined
  }
  return {
    show(phase: string, done: number, total: number) {
      if (current?.phase !== phase) {
        stop()
        current = { phase, bar: startProgress(context.terminal, phase, total) }
      }
      current.bar.update(done)
    },
    stop,
  }
}

/** @throws CliError `partial` when the import was interrupted or rows were not imported. */
async function reportImport(context: CliContext, report: ImportReport, from: string): Promise<void> {
  const mask = createMask(context)
  const shown = {
    ...report,
    conflicts: report.conflicts.map((conflict) => ({ ...conflict, email: mask(conflict.email) })),
  }
  await writeItem(context, shown, describeImport(shown))
  if (!report.complete) {
    const again = `tidings users import-django ${/^postgres/.test(from) ? '<the same database>' : from}`
    throw new CliError(
      EXIT.partial,
      report.dry_run
        ? `Interrupted. Nothing was changed. Run it again with: ${again} --dry-run`
        : `Interrupted. The imported rows stay. Import the rest with: ${again}`,
    )
  }
  const { users, preferences, notification_status_logs: logs } = report
  const leftOut =
    users.case_duplicates +
    users.email_taken +
    users.invalid +
    preferences.invalid +
    logs.invalid +
    logs.unknown_user
  if (leftOut > 0) throw new CliError(EXIT.partial, `${leftOut} rows were not imported; see the report.`)
}
