import { PROVIDERS, type Provider } from '@tidings/providers/provider'
import { Argument, type Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseText, parseTexts } from '../../input/parse-option.ts'
import type { CreateHookOptions } from './create.ts'
import type { RotateHookOptions } from './rotate.ts'

/** The commands import their code on first use: loading the query builder takes longer than most commands. */
export function registerHooks(program: Command, context: CliContext): void {
  const group = program.command('hooks').description('URLs that providers report to by themselves.')
  const provider = () => new Argument('<provider>', 'who reports').choices(PROVIDERS)
  const hook = (command: Command) => command.argument('<hook>', 'its name or id, as shown by hooks list')
  const withCredential = (command: Command) =>
    command
      .option(
        '--public-key <key>',
        'SendGrid: the verification key, or @ and a file that holds it',
        parseText,
      )
      .option('--topic-arn <arn>', 'SES: a topic that may deliver; repeat it for others', parseTexts)
      .option('--secret-stdin', 'Mailgun, Resend, Twilio, Postmark: read the shared secret from a pipe')

  withCredential(
    group.command('create').description('Make a hook, and print the URL to give to the provider.'),
  )
    .addArgument(provider())
    .requiredOption('--name <name>', 'becomes the source of its events', parseText)
    .option('--trial', 'with a key or a secret of our own, for hooks simulate')
    .action(async (name: Provider, options: CreateHookOptions) => {
      const { createHook } = await import('./create.ts')
      await createHook(context, name, options)
    })
    .addHelpText(
      'after',
      `
Examples:
  tidings hooks create sendgrid --name sendgrid-eu --public-key @sendgrid.pem
  tidings hooks create ses --name ses --topic-arn arn:aws:sns:eu-west-1:123456789012:mail
  tidings hooks create postmark --name postmark
  tidings hooks create mailgun --name mailgun --secret-stdin < mailgun-signing-key
  tidings hooks create sendgrid --name trial --trial -o json | jq -r .url

API_URL is the beginning of the URL. Secrets are stored encrypted, by
HOOK_SECRETS_KEY: both as for the API.`,
    )

  group
    .command('list')
    .description('List hooks, live and revoked, oldest first.')
    .action(async () => {
      const { listHooks } = await import('./list.ts')
      await listHooks(context)
    })
    .addHelpText('after', '\nExamples:\n  tidings hooks list\n  tidings hooks list -o json')

  hook(group.command('show').description('Show a hook and its URL, without its secrets.'))
    .action(async (given: string) => {
      const { showHook } = await import('./show.ts')
      await showHook(context, given)
    })
    .addHelpText('after', '\nExample:\n  tidings hooks show sendgrid-eu')

  hook(
    withCredential(
      group
        .command('rotate')
        .description('Add a new key, secret or list of topics. The old one works until --finish.'),
    ),
  )
    .option('--finish', 'drop the old one, when the provider uses the new one')
    .action(async (given: string, options: RotateHookOptions) => {
      const { rotateHook } = await import('./rotate.ts')
      await rotateHook(context, given, options)
    })
    .addHelpText(
      'after',
      `
Examples:
  tidings hooks rotate mailgun --secret-stdin < new-signing-key
  tidings hooks rotate mailgun --finish

Running APIs know the new one within 30 seconds: wait that long before the
provider uses it. Nothing but --finish drops the old one, because only you know
when the provider has stopped to use it.`,
    )

  hook(group.command('revoke').description('End a hook. Running APIs answer 404 within 30 seconds.'))
    .action(async (given: string) => {
      const { revokeHook } = await import('./revoke.ts')
      await revokeHook(context, given)
    })
    .addHelpText('after', '\nExample:\n  tidings hooks revoke sendgrid-eu')
}
