import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { registerList } from './dlq-list.ts'
import { registerRedrive } from './dlq-redrive.ts'
import { registerShow } from './dlq-show.ts'

export function registerDlq(program: Command, context: CliContext): void {
  const dlq = program.command('dlq').description('Inspect dead letters and send them back.')
  registerList(dlq, context)
  registerShow(dlq, context)
  registerRedrive(dlq, context)
}
