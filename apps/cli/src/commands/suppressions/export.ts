import { listSuppressions, type Suppression } from '@tidings/db/suppressions/suppressions'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { fingerprintKey, OUR_COLUMNS } from '../../suppressions/csv-formats.ts'
import { toCsvLine } from '../../suppressions/read-csv.ts'
import { openExportFile } from '../../terminal/export-file.ts'
import { formatCount } from '../../terminal/format.ts'

const PAGE = 1_000

/** Writes all suppressions in force as CSV, to a new file or to stdout. */
export async function runExport(context: CliContext, path: string | undefined): Promise<void> {
  const { terminal } = context
  const db = await context.database()
  const key = fingerprintKey(context.env().RECIPIENT_KEY)
  const signal = context.interruption()
  const file = path === undefined ? undefined : await openExportFile(context.resolvePath(path))
  const write = (text: string) => (file ? file.write(text) : terminal.write(text))
  let exported = 0
  try {
    await write(toCsvLine(OUR_COLUMNS))
    let after: Suppression | undefined
    do {
      if (signal.aborted) throw new CliError(EXIT.partial, `Interrupted after ${exported}.`)
      const page = await listSuppressions(db, {}, { limit: PAGE, after })
      if (page.length > 0) await write(page.map((row) => toLine(row, key)).join(''))
      exported += page.length
      after = page.length === PAGE ? page.at(-1) : undefined
    } while (after !== undefined)
  } finally {
    await file?.close()
  }
  terminal.say(`Exported ${formatCount(exported)} suppressions${path === undefined ? '' : ` to ${path}`}.`)
}

const toLine = (row: Suppression, key: string) =>
  toCsvLine([
    row.channel,
    row.digest,
    row.category ?? '',
    row.reason,
    row.origin,
    row.event_id ?? '',
    row.note ?? '',
    row.since.toISOString(),
    row.until?.toISOString() ?? '',
    key,
  ])
