import { type DeadLetterGroup, groupDeadLetters } from '@tidings/queue/dead-letters/groups'
import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { formatAge, formatCount } from '../../terminal/format.ts'
import { writeList } from '../../terminal/output.ts'
import { startProgress } from '../../terminal/progress.ts'
import { addFilterOptions, describeNone, type FilterOptions, toFilter } from './filter-options.ts'
import { errorCell, errorText } from './list.ts'

export function registerGroups(dlq: Command, context: CliContext): void {
  const groups = dlq
    .command('groups')
    .description('Group dead letters by error. Ids, numbers and quoted values do not count.')
    .action((options: FilterOptions) => runGroups(context, options))
  addFilterOptions(groups).addHelpText(
    'after',
    `
Examples:
  tidings dlq groups --since 24h
  tidings dlq groups -o id | head -1 | xargs -I{} tidings dlq redrive --group {} --canary 20`,
  )
}

async function runGroups(context: CliContext, options: FilterOptions): Promise<void> {
  const store = await context.deadLetters()
  const filter = toFilter(options)
  const bar = startProgress(context.terminal, 'Reading', await store.count())
  const groups = await groupDeadLetters(store, filter, bar.update).finally(bar.stop)
  const mask = createMask(context)
  await writeList<DeadLetterGroup>(context, groups, {
    columns: [
      { title: 'GROUP', cell: (group) => group.fingerprint, style: 'bold', whole: true },
      {
        title: 'COUNT',
        cell: (group) => formatCount(group.count),
        raw: (group) => String(group.count),
        align: 'right',
      },
      { title: 'REASON', cell: (group) => group.reason, style: 'yellow' },
      {
        title: 'FIRST',
        cell: (group) => formatAge(group.first_seen),
        raw: (group) => group.first_seen,
        align: 'right',
        style: 'dim',
      },
      {
        title: 'LAST',
        cell: (group) => formatAge(group.last_seen),
        raw: (group) => group.last_seen,
        align: 'right',
        style: 'dim',
      },
      { title: 'SAMPLE', cell: (group) => group.sample_id, whole: true, spare: 1 },
      {
        title: 'ERROR',
        cell: (group) => errorCell(group, mask),
        raw: (group) => mask(errorText(group)),
        style: 'red',
        wraps: true,
      },
    ],
    json: (group) => toShown(context.globals, group),
    id: (group) => group.fingerprint,
  })
  if (groups.length === 0) context.terminal.say(describeNone(filter))
}
