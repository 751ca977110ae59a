import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { UNDELIVERABLE_REASONS } from '@tidings/shared/user'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseCount, parseDuration, parseText } from '../../input/parse-option.ts'
import type { EraseOptions } from './erase.ts'
import { registerImportDjango } from './register-import.ts'
import type { ResetLinkOptions } from './reset-link.ts'
import type { SetPasswordOptions } from './set-password.ts'
import type { UndeliverableOptions } from './undeliverable.ts'

const EXAMPLE = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'

interface Confirmed {
  yes?: true
}

/** The commands import their code on first use: loading the query builder takes longer than most commands. */
export function registerUsers(program: Command, context: CliContext): void {
  const users = program.command('users').description('Users of this installation.')
  registerReading(users, context)
  registerAccess(users, context)
  registerData(users, context)
  registerImportDjango(users, context)
}

/** A command about one user. */
const command = (users: Command, name: string, description: string) =>
  users
    .command(name)
    .description(description)
    .argument('<user>', 'the whole id or the whole e-mail address', parseText)

const examples = (...lines: string[]) =>
  `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map((line) => `  tidings users ${line}`).join('\n')}`

function registerReading(users: Command, context: CliContext): void {
  command(users, 'show', 'Show a user: state, sessions, devices, wrong passwords.')
    .action(async (user: string) => (await import('./show.ts')).runShow(context, user))
    .addHelpText('after', examples('show ada@example.com', `show ${EXAMPLE} -o json | jq .locked`))
  users
    .command('find')
    .description('Find users by a part of the name, the address or the id, newest first.')
    .argument('<text>', 'a part; upper and lower case are equal', parseText)
    .option('--limit <n>', 'how many users', parseCount(1, 1_000), 25)
    .action(async (text: string, { limit }: { limit: number }) =>
      (await import('./find.ts')).runFind(context, text, limit),
    )
    .addHelpText('after', examples('find lovelace', 'find @example.com --limit 100 -o id'))
  users
    .command('undeliverable')
    .description('List the users whom a channel does not reach, and why, newest first.')
    .addOption(
      new Option('--channel <channel>', 'email or push').choices(NOTIFICATION_TYPES).default('email'),
    )
    .addOption(new Option('--reason <reason...>', 'only these').choices(UNDELIVERABLE_REASONS))
    .option('--limit <n>', 'how many users', parseCount(1, 100_000), 100)
    .action(async (options: UndeliverableOptions) =>
      (await import('./undeliverable.ts')).runUndeliverable(context, options),
    )
    .addHelpText(
      'after',
      `
The reasons are those of GET /api/v1/users/{id}/preferences/. All users are
read until the limit is reached.
${examples('undeliverable', 'undeliverable --reason suppressed_bounce suppressed_complaint -o json', 'undeliverable --channel push -o id')}`,
    )
}

function registerAccess(users: Command, context: CliContext): void {
  command(users, 'deactivate', 'Log a user out everywhere, and refuse every login.')
    .option('-y, --yes', 'do not ask')
    .action(async (user: string, { yes }: Confirmed) =>
      (await import('./activation.ts')).runDeactivate(context, user, yes === true),
    )
    .addHelpText('after', examples('deactivate ada@example.com', `deactivate ${EXAMPLE} --yes`))
  command(users, 'reactivate', 'Let a deactivated user log in again.')
    .action(async (user: string) => (await import('./activation.ts')).runReactivate(context, user))
    .addHelpText('after', examples('reactivate ada@example.com'))
  command(users, 'set-password', 'Set a password, and end all sessions of the user.')
    .option('--stdin', 'read the password from a pipe instead of asking for it')
    .option('-y, --yes', 'do not ask whether to go on')
    .action(async (user: string, options: SetPasswordOptions) =>
      (await import('./set-password.ts')).runSetPassword(context, user, options),
    )
    .addHelpText(
      'after',
      `
The password is never an argument: other users of the machine could read it.
It must meet the same rules as in the API. Prefer reset-link: then only the
user knows the password.
${examples('set-password ada@example.com', 'set-password ada@example.com --stdin --yes < password.txt')}`,
    )
  command(users, 'end-sessions', 'End all sessions of a user, and the tokens of the Django service.')
    .option('-y, --yes', 'do not ask')
    .action(async (user: string, { yes }: Confirmed) =>
      (await import('./end-sessions.ts')).runEndSessions(context, user, yes === true),
    )
    .addHelpText('after', examples('end-sessions ada@example.com'))
  command(users, 'unlock', 'Forget the wrong passwords that were typed for a user.')
    .action(async (user: string) => (await import('./unlock.ts')).runUnlock(context, user))
    .addHelpText(
      'after',
      `
Without Redis each API counts in its own memory. The running APIs are told to
forget, and the command cannot see whether each of them heard it.
${examples('unlock ada@example.com')}`,
    )
  command(users, 'reset-link', 'Print a link that sets a new password, once.')
    .addOption(
      new Option('--expires-in <duration>', 'how long the link works, at most 1h')
        .argParser(parseDuration)
        .default(3_600_000, '1h'),
    )
    .option('-y, --yes', 'do not ask')
    .action(async (user: string, options: ResetLinkOptions) =>
      (await import('./reset-link.ts')).runResetLink(context, user, options),
    )
    .addHelpText(
      'after',
      `
The link leads to APP_URL, or else to API_URL. Give it to the user on a way
that nobody else can read.
${examples('reset-link ada@example.com', `reset-link ${EXAMPLE} --expires-in 10m -o json | jq -r .link`)}`,
    )
}

function registerData(users: Command, context: CliContext): void {
  command(users, 'export', 'Write everything that is held about a user, one JSON object a line.')
    .argument('[file]', 'a new file; default: stdout', parseText)
    .action(async (user: string, file: string | undefined) =>
      (await import('./export.ts')).runExport(context, user, file),
    )
    .addHelpText(
      'after',
      `
The last line has the type end and the number of records of each type. An
export without it is incomplete. It is never masked, and only its owner can
read the file.
${examples('export ada@example.com ada.ndjson', 'export ada@example.com | jq -c \'select(.type == "session")\'')}`,
    )
  command(users, 'erase', 'Erase a user for good. Events stay, without their user and texts.')
    .addOption(
      new Option('--settle <duration>', 'time until the queues are searched again')
        .argParser(parseDuration)
        .default(15_000, '15s'),
    )
    .option('-y, --yes', 'do not ask for the address')
    .action(async (user: string, options: EraseOptions) =>
      (await import('./erase.ts')).runErase(context, user, options),
    )
    .addHelpText(
      'after',
      `
It does what DELETE /api/v1/users/{id}/ does, and asks for the address of the
user. Write an export first if the user wants one.
${examples('erase ada@example.com', `erase ${EXAMPLE} --yes`)}`,
    )
}
