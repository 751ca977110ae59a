import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { registerDelete } from './dlq-delete.ts'
import { registerExport } from './dlq-export.ts'
import { registerGroups } from './dlq-groups.ts'
import { registerImport } from './dlq-import.ts'
import { registerList } from './dlq-list.ts'
import { registerRedrive } from './dlq-redrive.ts'
import { registerShow } from './dlq-show.ts'
import { registerStats } from './dlq-stats.ts'

export function registerDlq(program: Command, context: CliContext): void {
  const dlq = program.command('dlq').description('Inspect dead letters and send them back.')
  registerList(dlq, context)
  registerGroups(dlq, context)
  registerShow(dlq, context)
  registerStats(dlq, context)
  registerRedrive(dlq, context)
  registerDelete(dlq, context)
  registerExport(dlq, context)
  registerImport(dlq, context)
}
