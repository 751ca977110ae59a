import { openUserImport } from '@tidings/db/django/import-users'
import { maskText } from '@tidings/shared/mask'
import type { Command } from 'commander'
import { withAudit } from '../../audit.ts'
import type { CliContext } from '../../context.ts'
import { openDumpdataSource } from '../../django/dumpdata-source.ts'
import { type ImportReport, importFromDjango } from '../../django/import.ts'
import { openPostgresSource } from '../../django/postgres-source.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { parseText } from '../../input/parse-option.ts'
import { writeItem } from '../../terminal/output.ts'
import { type ProgressBar, startProgress } from '../../terminal/progress.ts'

export function registerUsers(program: Command, context: CliContext): void {
  program
    .command('users')
    .description('Users of this installation.')
    .command('import-django')
    .description('Carry users, preferences and the status log over from the Django user service.')
    .argument(
      '<source>',
      'its database (postgres://…), or a file that manage.py dumpdata wrote (.json, .jsonl, .gz)',
      parseText,
    )
    .option('--dry-run', 'only report what would become of each')
    .action((source: string, options: { dryRun?: true }) =>
      importDjango(context, source, options.dryRun === true),
    )
    .addHelpText(
      'after',
      `
Ids, password hashes, preferences, times and the status log are kept. It can
be run again: after an interruption, after conflicts were settled, and for
what came meanwhile. Nothing is imported twice. Users who changed in Django
since are brought up to date; those whose row here is newer are left alone.
Users whose address differs from another's only by case are reported, and none
of them is imported.

Exit code 5: some rows were left out; the report says which.
docs/migrating-from-django.md walks through it.

Examples:
  tidings users import-django postgres://reader@old-db/users --dry-run
  tidings users import-django postgres://reader@old-db/users
  python manage.py dumpdata users -o users.jsonl.gz && tidings users import-django users.jsonl.gz -o json`,
    )
}

async function importDjango(context: CliContext, from: string, dryRun: boolean): Promise<void> {
  if (!dryRun) context.assertWritable()
  const source = /^postgres(ql)?:\/\//.test(from)
    ? await openPostgresSource(from)
    : await openDumpdataSource(context.resolvePath(from))
  const signal = context.interruption()
  let report: ImportReport | undefined
  const run = async () => {
    const target = await openUserImport(context.env().DATABASE_URL)
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
          audit.changed = users.imported + users.updated + logs.imported
          audit.result = complete ? 'done' : 'interrupted'
        },
      )
    }
  } finally {
    await source.close()
  }
  if (report !== undefined) await finish(context, report, from)
}

/** One bar after the other. */
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

async function finish(context: CliContext, report: ImportReport, from: string): Promise<void> {
  const shown = context.globals.showSensitive
    ? report
    : { ...report, conflicts: report.conflicts.map((c) => ({ ...c, email: maskText(c.email) })) }
  await writeItem(context, shown, describeReport(shown))
  if (!report.complete) {
    const again = `tidings users import-django ${/^postgres/.test(from) ? '<the same database>' : from}`
    throw new CliError(
      EXIT.partial,
      report.dry_run
        ? `Interrupted. Nothing was changed; it looks at everything with: ${again} --dry-run`
        : `Interrupted. What was imported stays; the rest follows with: ${again}`,
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
  if (leftOut > 0) throw new CliError(EXIT.partial, `${leftOut} rows were left out; see the report.`)
}

function describeReport(report: ImportReport): string {
  const { users, preferences, notification_status_logs: logs } = report
  const done = report.dry_run ? 'would be imported' : 'imported'
  const lines: [string, number, string?][] = [
    ['users found', users.found],
    [`  ${done}`, users.imported],
    [
      `  ${report.dry_run ? 'would be updated' : 'updated'}`,
      users.updated,
      'changed since they were imported',
    ],
    ['  already here', users.already_there],
    ['  addresses that differ only by case', users.case_duplicates, 'none of these is imported'],
    ['  erased here', users.erased, 'they do not come back'],
    ['  address taken here by somebody else', users.email_taken],
    ['  not valid', users.invalid],
    ['  inactive', users.inactive, 'they cannot log in'],
    ['  staff', users.staff, 'imported as ordinary users'],
    ['  without a usable password', users.unusable_passwords, 'they cannot log in until one is set'],
    ['preferences found', preferences.found],
    ['  not valid', preferences.invalid],
    ['status log found', logs.found],
    [`  ${done}`, logs.imported],
    ['  already here', logs.already_there],
    ['  of users who are not here', logs.unknown_user],
    ['  not valid', logs.invalid],
    ['strongest hash, in iterations', users.max_iterations, 'PASSWORD_ITERATIONS should be no less'],
  ]
  const text = lines
    .filter(([label, count]) => count > 0 || !label.startsWith('  '))
    .map(([label, count, note]) => `${label}: ${count}${note && count > 0 ? ` (${note})` : ''}`)
  const conflicts = report.conflicts.map((conflict) => `${conflict.kind}\t${conflict.id}\t${conflict.email}`)
  const invalid = report.invalid.map(({ table, id, why }) => `invalid ${table}\t${id}\t${why}`)
  return [...text, ...conflicts, ...invalid].join('\n')
}
