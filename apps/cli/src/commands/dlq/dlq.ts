import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { registerDelete } from './delete.ts'
import { registerExport } from './export.ts'
import { registerGroups } from './groups.ts'
import { registerImport } from './import.ts'
import { registerList } from './list.ts'
import { registerRedrive } from './redrive/redrive.ts'
import { registerShow } from './show.ts'
import { registerStats } from './stats/stats.ts'

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
