import { createReadStream } from 'node:fs'
import { findStoredContent } from '@tidings/db/events/stored-content'
import { AUDIT_IMPORT } from '@tidings/db/operators/audit-actions'
import { type ImportResult, importDeadLetters } from '@tidings/queue/dead-letters/import'
import type { Command } from 'commander'
import { type RunningAudit, withAudit } from '../../audit.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { assertReadable } from '../../input/assert-readable.ts'
import { parseText } from '../../input/parse-option.ts'
import { readLines } from '../../input/read-lines.ts'
import { entries, formatCount } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'

interface ImportOptions {
  dryRun?: true
}

export function registerImport(dlq: Command, context: CliContext): void {
  dlq
    .command('import')
    .description('Restore exported dead letters.')
    .argument('<file>', 'a file of dlq export; - reads stdin', parseText)
    .option('--dry-run', 'only check the file and count')
    .action((file: string, options: ImportOptions) =>
      runImport(context, file === '-' ? file : context.resolvePath(file), options),
    )
    .addHelpText(
      'after',
      `
Examples:
  tidings dlq import backup.ndjson
  ssh old-host tidings dlq export | tidings dlq import -

Entries that exist already, or whose events are stored by now, are skipped:
importing a file twice is harmless. Wrong lines are reported and skipped.
Entries of users who were erased since are restored without owner, texts and
metadata.`,
    )
}

async function runImport(context: CliContext, path: string, options: ImportOptions): Promise<void> {
  if (path !== '-') await assertReadable(path)
  if (options.dryRun) return report(context, await readFile(context, path, undefined), true)
  context.assertWritable()
  await withAudit(context, { action: AUDIT_IMPORT, selector: { file: path } }, async (audit) => {
    const result = await readFile(context, path, audit)
    audit.matched = result.lines
    audit.changed = result.imported
    audit.result = result.end
    await report(context, result, false)
  })
}

/** Longer than the line of any entry, in characters. A line that is cut is not JSON, so it is reported as wrong. */
const MAX_LINE_LENGTH = 64 * 1024 * 1024

/** @param audit undefined for a dry run. */
async function readFile(
  context: CliContext,
  path: string,
  audit: RunningAudit | undefined,
): Promise<ImportResult> {
  const db = await context.database()
  // Not before a database is needed: it loads the query builder.
  const { findErasedUsers } = await import('@tidings/db/users/erased-users')
  const signal = context.interruption()
  return importDeadLetters(await context.allDeadLetters(), {
    lines: readLines(path === '-' ? context.terminal.stdin : createReadStream(path), {
      maxLength: MAX_LINE_LENGTH,
      signal,
    }),
    dryRun: audit === undefined,
    findStored: (events) => findStoredContent(db, events),
    findErased: (userIds) => findErasedUsers(db, userIds),
    signal,
    onBatch(totals) {
      if (audit) audit.changed = totals.imported
    },
  })
}

/** @throws CliError when lines were wrong, or the import was interrupted. */
async function report(context: CliContext, result: ImportResult, isDryRun: boolean): Promise<void> {
  const { terminal } = context
  for (const { line, message } of result.bad) terminal.say(`Line ${line} ${message}.`)
  if (result.badCount > result.bad.length)
    terminal.say(`and ${formatCount(result.badCount - result.bad.length)} more wrong lines.`)
  const said = [`${isDryRun ? 'Would import' : 'Imported'} ${entries(result.imported)}`]
  if (result.present > 0) said.push(`${formatCount(result.present)} already there`)
  if (result.stored > 0) said.push(`${formatCount(result.stored)} stored by now`)
  terminal.say(`${said.join('; ')}.`)
  await writeResult(context, result)
  if (result.end === 'interrupted')
    throw new CliError(EXIT.partial, 'Interrupted. The same command again does the rest.')
  if (result.badCount > 0)
    throw new CliError(
      result.imported + result.present + result.stored === 0 ? EXIT.failure : EXIT.partial,
      `${formatCount(result.badCount)} wrong lines were skipped.`,
    )
}
