import { toLine } from '@tidings/queue/dead-letters/import'
import { readSelection } from '@tidings/queue/dead-letters/selection'
import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { parseText } from '../../input/parse-option.ts'
import { openExportFile } from '../../terminal/export-file.ts'
import { entries } from '../../terminal/format.ts'
import { startProgress } from '../../terminal/progress.ts'
import { escapeJson } from '../../terminal/table.ts'
import { addFilterOptions, describeNone, type FilterOptions, toFilter } from './filter-options.ts'

export function registerExport(dlq: Command, context: CliContext): void {
  const command = dlq
    .command('export')
    .description('Write dead letters in full, one JSON object a line, oldest first.')
    .argument('[file]', 'a new file; default: stdout', parseText)
    .action((file: string | undefined, options: FilterOptions) =>
      runExport(context, file === undefined ? undefined : context.resolvePath(file), options),
    )
  addFilterOptions(command).addHelpText(
    'after',
    `
Examples:
  tidings dlq export backup.ndjson
  tidings dlq export --reason invalid_event | jq -r .event.notification_id

An export is a backup, so it is never masked. Only its owner can read the file.`,
  )
}

async function runExport(
  context: CliContext,
  path: string | undefined,
  options: FilterOptions,
): Promise<void> {
  const { terminal, globals } = context
  if (path === undefined && terminal.width !== undefined && !globals.showSensitive)
    throw usageError('An export shows events in full: name a file, use a pipe, or add --show-sensitive.')
  const store = await context.deadLetters()
  const filter = toFilter(options)
  const signal = context.interruption()
  const file = path === undefined ? undefined : await openExportFile(path)
  const bar = startProgress(terminal, 'Exporting', await store.count())
  let exported = 0
  try {
    const selection = { kind: 'filter', filter } as const
    for await (const batch of readSelection(store, selection)) {
      if (signal.aborted) throw new CliError(EXIT.partial, `Interrupted after ${entries(exported)}.`)
      const text = batch.entries.map(toLine).join('')
      await (file ? file.write(text) : terminal.write(terminal.width === undefined ? text : escapeJson(text)))
      exported += batch.entries.length
      bar.update(exported)
    }
  } finally {
    bar.stop()
    await file?.close()
  }
  terminal.say(`Exported ${entries(exported)}${path === undefined ? '' : ` to ${path}`}.`)
  if (exported === 0) terminal.say(describeNone(filter))
}
