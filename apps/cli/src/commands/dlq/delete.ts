import { AUDIT_DELETE } from '@tidings/db/operators/audit-actions'
import { type DeleteResult, deleteDeadLetters } from '@tidings/queue/dead-letters/delete'
import { toLine } from '@tidings/queue/dead-letters/import'
import type { Selection } from '@tidings/queue/dead-letters/selection'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import type { Command } from 'commander'
import { withAudit } from '../../audit.ts'
import { askForName, askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { parseText } from '../../input/parse-option.ts'
import { assertNoFile, openExportFile } from '../../terminal/export-file.ts'
import { entries, formatCount } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'
import { startProgress } from '../../terminal/progress.ts'
import {
  addSelectionOptions,
  describeSelection,
  noneExists,
  previewSelection,
  type SelectionOptions,
  sayNoMatch,
  sayPreview,
  toSelection,
} from './selection.ts'

interface DeleteOptions extends SelectionOptions {
  exportFirst?: string
  yes?: true
}

export function registerDelete(dlq: Command, context: CliContext): void {
  const command = dlq
    .command('delete')
    .description('Delete dead letters for good. Their events are lost.')
    .option('--export-first <file>', 'write each entry to a new file before it is deleted', parseText)
    .option('-y, --yes', 'do not ask')
    .action((ids: string[], options: DeleteOptions) => runDelete(context, ids, options))
  addSelectionOptions(command).addHelpText(
    'after',
    `
Examples:
  tidings dlq delete 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee
  tidings dlq delete --group 3f2a91c07be4 --export-first bounced.ndjson
  tidings dlq delete --reason invalid_event --until 30d --yes

tidings dlq import restores the entries of --export-first.`,
  )
}

const NOTHING_DELETED: DeleteResult = { matched: 0, deleted: 0, gone: 0, end: 'done' }

async function runDelete(context: CliContext, ids: string[], options: DeleteOptions): Promise<void> {
  const selection = await toSelection(context, ids, options)
  context.assertWritable()
  const file = options.exportFirst === undefined ? undefined : context.resolvePath(options.exportFirst)
  if (file !== undefined) await assertNoFile(file)
  const store = await context.deadLetters()
  if (!options.yes) assertCanAsk(context)
  const preview = await previewSelection(context, store, selection)
  if (preview.count === 0) {
    if (file !== undefined) context.terminal.say(`${file} was not written.`)
    await writeResult(context, NOTHING_DELETED)
    return sayNoMatch(context, store, options)
  }
  sayPreview(context, preview, 'Delete', `for good, from ${DEAD_LETTER_QUEUE}`)
  if (!options.yes) await confirmDeletion(context, options)

  await withAudit(
    context,
    { action: AUDIT_DELETE, selector: { selection: describeSelection(selection) } },
    async (audit) => {
      const backup = file === undefined ? undefined : await openExportFile(file)
      if (file !== undefined) context.terminal.say(`Each entry is written to ${file} first.`)
      const bar = startProgress(context.terminal, 'Deleting', preview.count)
      try {
        const result = await deleteDeadLetters(store, {
          selection,
          signal: context.interruption(),
          async beforeBatch(batch) {
            await backup?.write(batch.map(toLine).join(''))
          },
          onBatch(totals) {
            audit.matched = totals.matched
            audit.changed = totals.deleted
            bar.update(totals.matched)
          },
        })
        bar.stop()
        audit.result = result.end
        await report(context, result, selection)
      } finally {
        bar.stop()
        await backup?.close()
      }
    },
  )
}

async function confirmDeletion(context: CliContext, options: DeleteOptions): Promise<void> {
  if (options.all)
    await askForName(
      context,
      `This cannot be undone. Type ${DEAD_LETTER_QUEUE} to delete all.`,
      DEAD_LETTER_QUEUE,
    )
  else await askToGoOn(context, 'This cannot be undone. Delete them?')
}

/** @throws CliError when a part of the selection is left, or no id exists. */
async function report(context: CliContext, result: DeleteResult, selection: Selection): Promise<void> {
  const gone = result.gone > 0 ? `; ${formatCount(result.gone)} no longer there` : ''
  context.terminal.say(`Deleted ${entries(result.deleted)}${gone}.`)
  await writeResult(context, result)
  if (result.end === 'interrupted')
    throw new CliError(EXIT.partial, 'Interrupted. The same command again does the rest.')
  if (selection.kind !== 'ids' || result.gone === 0) return
  throw result.deleted === 0
    ? noneExists()
    : new CliError(EXIT.partial, 'Not all of these dead letters exist.')
}
