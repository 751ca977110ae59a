import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseText } from '../../input/parse-option.ts'

export function registerImportDjango(users: Command, context: CliContext): void {
  users
    .command('import-django')
    .description('Import users, preferences and the status log from the Django user service.')
    .argument(
      '<source>',
      'its database (postgres://…), or a file that manage.py dumpdata wrote (.json, .jsonl, .gz)',
      parseText,
    )
    .option('--dry-run', 'only report what would be imported')
    .action(async (source: string, options: { dryRun?: true }) => {
      const { importDjango } = await import('./import-django.ts')
      await importDjango(context, source, options.dryRun === true)
    })
    .addHelpText(
      'after',
      `
Ids, password hashes, preferences, times and the status log are kept. Run it
again after an interruption, after conflicts were resolved, and for later
changes: nothing is imported twice. Users who changed in Django since are
updated, unless their row here is newer. Users whose addresses differ only by
case are reported, and none of them is imported. An account here that never
proved the address of an imported user is erased; --dry-run lists these.

Exit code 5: some rows were not imported; the report lists them.
docs/migrating-from-django.md explains each step.

Examples:
  tidings users import-django postgres://reader@old-db/users --dry-run
  tidings users import-django postgres://reader@old-db/users
  python manage.py dumpdata users -o users.jsonl.gz && tidings users import-django users.jsonl.gz -o json`,
    )
}
