import { stat } from 'node:fs/promises'
import { addSuppressions, type NewSuppression } from '@tidings/db/suppressions/suppressions'
import type { SuppressionReason } from '@tidings/shared/suppression'
import { type RunningAudit, withAudit } from '../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { type CsvFormat, detectFormat, type LineResult, nameCells } from '../../suppressions/csv-formats.ts'
import { readCsv } from '../../suppressions/read-csv.ts'
import { openLines } from '../../suppressions/recipients.ts'
import { formatCount } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'
import { startProgress } from '../../terminal/progress.ts'

export interface ImportOptions {
  reason?: SuppressionReason
  dryRun?: true
  yes?: true
}

interface ImportTotals {
  format: CsvFormat['name'] | null
  /** Suppressions that the file holds. */
  read: number
  imported: number
  present: number
  /** Lines that do not suppress, such as temporary failures. */
  skipped: number
  bad: number
  interrupted: boolean
}

const BATCH = 500
/** Wrong lines that are reported one by one. */
const REPORTED_LINES = 20
const MAX_LINE_LENGTH = 64 * 1024
const WITHOUT_END: LineResult = { kind: 'bad', message: 'has a quote without an end' }

export async function runImport(context: CliContext, path: string, options: ImportOptions): Promise<void> {
  if (options.dryRun) return report(context, await importFile(context, path, options, undefined), true)
  context.assertWritable()
  if (!options.yes) {
    assertCanAsk(context)
    await askToGoOn(context, 'Suppress every recipient of the file?')
  }
  await withAudit(context, { action: 'suppressions.import', selector: { file: path } }, async (audit) => {
    const totals = await importFile(context, path, options, audit)
    audit.matched = totals.read
    audit.changed = totals.imported
    audit.result = totals.interrupted ? 'interrupted' : 'done'
    await report(context, totals, false)
  })
}

/** @param audit undefined for a dry run. */
async function importFile(
  context: CliContext,
  path: string,
  options: ImportOptions,
  audit: RunningAudit | undefined,
): Promise<ImportTotals> {
  const db = audit && (await context.database())
  const { lines, bytesRead } = await openLines(context, path, MAX_LINE_LENGTH)
  const size = path === '-' ? 0 : (await stat(context.resolvePath(path))).size
  const bar = startProgress(context.terminal, 'Importing bytes', size)
  const formatOptions = { recipientKey: context.env().RECIPIENT_KEY, reason: options.reason }
  const totals: ImportTotals = {
    format: null,
    read: 0,
    imported: 0,
    present: 0,
    skipped: 0,
    bad: 0,
    interrupted: false,
  }
  const batch: NewSuppression[] = []
  async function store() {
    if (db) {
      const changed = await addSuppressions(db, batch)
      totals.imported += changed
      totals.present += batch.length - changed
      if (audit) audit.changed = totals.imported
    }
    batch.length = 0
    bar.update(bytesRead())
  }
  let format: CsvFormat | undefined
  try {
    for await (const { line, cells } of readCsv(lines)) {
      if (format === undefined) {
        format = detectFormat(cells ?? [], formatOptions)
        if (format === undefined) throw unknownFormat()
        if (format.name === 'addresses' && options.reason === undefined)
          throw usageError('This file gives no reasons: add --reason.')
        totals.format = format.name
        if (!format.isHeaderless) continue
      }
      const result = cells ? format.read(nameCells(format.columns, cells)) : WITHOUT_END
      if (result.kind === 'suppression') {
        totals.read++
        batch.push(result.suppression)
        if (batch.length === BATCH) await store()
      } else if (result.kind === 'skipped') totals.skipped++
      else if (++totals.bad <= REPORTED_LINES) context.terminal.say(`Line ${line} ${result.message}.`)
    }
    await store()
  } finally {
    bar.stop()
  }
  return { ...totals, interrupted: context.interruption().aborted }
}

const unknownFormat = () =>
  new CliError(
    EXIT.failure,
    'The first line is not that of a known file. Known are the CSV files of SES, SendGrid, Postmark and tidings, ' +
      'and a column `email` with --reason.',
  )

/** @throws CliError when lines were wrong, or the import was interrupted. */
async function report(context: CliContext, totals: ImportTotals, isDryRun: boolean): Promise<void> {
  const { terminal } = context
  if (totals.bad > REPORTED_LINES)
    terminal.say(`and ${formatCount(totals.bad - REPORTED_LINES)} more wrong lines.`)
  const said = [
    isDryRun ? `Would import ${formatCount(totals.read)}` : `Imported ${formatCount(totals.imported)}`,
  ]
  if (totals.present > 0) said.push(`${formatCount(totals.present)} already there`)
  if (totals.skipped > 0) said.push(`${formatCount(totals.skipped)} temporary failures skipped`)
  terminal.say(
    `${said.join('; ')}. ${totals.format === null ? 'The file is empty' : `It is a file of ${totals.format}`}.`,
  )
  await writeResult(context, totals)
  if (totals.interrupted)
    throw new CliError(EXIT.partial, 'Interrupted. The same command again does the rest.')
  if (totals.bad > 0)
    throw new CliError(
      totals.read === 0 ? EXIT.failure : EXIT.partial,
      `${formatCount(totals.bad)} wrong lines were skipped.`,
    )
}
