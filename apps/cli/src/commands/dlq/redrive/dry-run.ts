import { findObstacle } from '@tidings/queue/dead-letters/redrive'
import { readSelection, type Selection } from '@tidings/queue/dead-letters/selection'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import type { CliContext } from '../../../context.ts'
import { entries } from '../../../terminal/format.ts'
import { writeList } from '../../../terminal/output.ts'
import { entryView } from '../list.ts'
import { noneExists, previewSelection, type SelectionOptions, sayNoMatch, sayPreview } from '../selection.ts'

/** Lists what a redrive would send back, and changes nothing. */
export async function runDryRun(
  context: CliContext,
  selection: Selection,
  options: SelectionOptions & { max?: number; force?: true },
): Promise<void> {
  const store = await context.deadLetters()
  const { terminal, globals } = context
  const preview = await previewSelection(context, store, selection)
  sayPreview(context, preview, 'Dry run', `back to ${STATUS_QUEUE}`, options.max)
  let left = options.max ?? Number.POSITIVE_INFINITY
  let found = 0
  let shown = 0
  for await (const batch of readSelection(store, selection)) {
    const ready = batch.entries
      .filter((entry) => !findObstacle(entry, batch.bytes, options.force === true))
      .slice(0, left)
    found += batch.entries.length
    left -= ready.length
    shown += ready.length
    // On a terminal the preview by group is enough: a thousand lines would hide it.
    const isForPeople = terminal.width !== undefined && globals.output === undefined
    if (!isForPeople && globals.output !== 'json') await writeList(context, ready, entryView(context))
    if (left === 0) break
  }
  if (globals.output === 'json') await terminal.write(`${JSON.stringify({ would_redrive: shown })}\n`)
  terminal.say(`Would redrive ${entries(shown)}. Nothing was changed.`)
  if (found > 0) return
  if (selection.kind === 'ids' && selection.ids.length > 0) throw noneExists()
  await sayNoMatch(context, store, options)
}
