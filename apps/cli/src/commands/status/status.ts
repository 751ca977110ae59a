import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'

export function registerStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('Show the status of a notification and its timeline.')
    .argument('<notification_id>')
    .option(
      '--explain',
      'also show the rule and the event that decided, the dead letters of this notification, and what waits',
    )
    .action(async (id: string, options: { explain?: true }) => {
      const { showStatus } = await import('./show-status.ts')
      await showStatus(context, id, options.explain === true)
    })
    .addHelpText('after', '\nExamples:\n  tidings status notif-123\n  tidings status notif-123 --explain')
}
