import { Command, Option } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { registerCategories } from './commands/categories/categories.ts'
import { registerCompletion } from './commands/completion.ts'
import { registerDlq } from './commands/dlq/dlq.ts'
import { registerDoctor } from './commands/doctor/doctor.ts'
import { registerFind } from './commands/find/find.ts'
import { registerHelp } from './commands/help.ts'
import { registerHooks } from './commands/hooks/hooks.ts'
import { registerKeys } from './commands/keys/keys.ts'
import { registerRetention } from './commands/retention/retention.ts'
import { registerServiceKeys } from './commands/service-keys/service-keys.ts'
import { registerStats } from './commands/stats/stats.ts'
import { registerStatus } from './commands/status/status.ts'
import { registerSuppressions } from './commands/suppressions/suppressions.ts'
import { registerUsers } from './commands/users/users.ts'
import type { CliContext } from './context.ts'
import { OUTPUT_FORMATS } from './terminal/output.ts'

/**
 * Defines the whole command line. Each folder of commands/ exports one `registerXyz(program, context)` that adds its
 * commands. The completion scripts and the manual page are rendered from these definitions.
 */
export function createProgram(context: CliContext): Command {
  const { terminal } = context
  const program = new Command('tidings')
    .description('Operate a Tidings installation: dead letters, notifications, keys, health.')
    .version(manifest.version, '--version', 'print the version')
    .addOption(
      new Option(
        '-o, --output <format>',
        'output format; default: a table on a terminal, tab-separated lines in a pipe',
      ).choices(OUTPUT_FORMATS),
    )
    .option('--read-only', 'refuse every command that changes something')
    .option('--show-sensitive', 'print e-mail addresses and push tokens in full')
    .option('--no-color', 'no colours, as with NO_COLOR')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
      getOutHasColors: () => terminal.colors.stdout,
      getErrHasColors: () => terminal.colors.stderr,
    })
    .exitOverride()
    .showHelpAfterError('Run it with --help to see its arguments and options.')
    .addHelpText(
      'after',
      `
DATABASE_URL, REDIS_URL, QUEUE_BACKEND, QUEUE_PREFIX and QUEUE_SHARDS name the
stores. Without DATABASE_URL they come from $DATA_DIR/dev.env (.data/dev.env),
which npm start writes.

Exit codes: 0 done, 1 failure, 2 declined, 3 not found, 5 done in part,
6 a store does not answer, 7 a --fail-if limit exceeded, 64 wrong usage.`,
    )
    .hook('preAction', () => {
      const options = program.opts()
      context.globals.output = options.output
      context.globals.readOnly = options.readOnly === true
      context.globals.showSensitive = options.showSensitive === true
    })
  registerDlq(program, context)
  registerStatus(program, context)
  registerFind(program, context)
  registerStats(program, context)
  registerUsers(program, context)
  registerSuppressions(program, context)
  registerCategories(program, context)
  registerServiceKeys(program, context)
  registerHooks(program, context)
  registerRetention(program, context)
  registerDoctor(program, context)
  registerKeys(program, context)
  registerCompletion(program, context)
  registerHelp(program)
  return program
}
