import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'

export function registerStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('Show what became of a notification.')
    .argument('<notification_id>')
    .option('--explain', 'say which rule and event decided, and look for dead letters of this notification')
    .action(async (id: string, options: { explain?: true }) => {
      const { runStatus } = await import('./run.ts')
      await runStatus(context, id, options.explain === true)
    })
    .addHelpText('after', '\nExamples:\n  tidings status notif-123\n  tidings status notif-123 --explain')
}
