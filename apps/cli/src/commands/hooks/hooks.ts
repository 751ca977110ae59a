import { PROVIDERS, type Provider } from '@tidings/providers/provider'
import { Argument, type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseCount, parseRate, parseRatio, parseText, parseTexts } from '../../input/parse-option.ts'
import type { CreateHookOptions } from './create.ts'
import type { RotateHookOptions } from './rotate.ts'
import type { SimulateOptions } from './simulate/simulate.ts'

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

  group
    .command('simulate')
    .description('Sign and post realistic traffic to a hook, as the provider does.')
    .addArgument(provider())
    .option('--hook <hook>', 'the name or id of the hook; default: the only one of the provider', parseText)
    .option('--rate <rate>', 'events a second, such as 50 or 50/s', parseRate, 50)
    .option('--count <n>', 'how many events', parseCount(1, 10_000_000), 1000)
    .addOption(
      new Option('--bounce <share>', 'share of the messages that bounce')
        .argParser(parseRatio)
        .default(0.02, '2%'),
    )
    .option('--seed <n>', 'equal seeds give equal outcomes, in equal order', parseCount(0), 1)
    .option('--private-key-stdin', "SendGrid: read the private key of the hook's public key from a pipe")
    .option('-y, --yes', 'do not ask before made-up events go to a hook that is no trial')
    .action(async (name: Provider, options: SimulateOptions) => {
      const { simulate } = await import('./simulate/simulate.ts')
      await simulate(context, name, options)
    })
    .addHelpText(
      'after',
      `
Examples:
  tidings hooks create sendgrid --name trial --trial
  tidings hooks simulate sendgrid --rate 50 --count 1000 --bounce 2% --seed 7
  tidings hooks simulate resend --hook resend-eu --count 10 --yes

The events are stored like real ones, and bounces suppress their recipients, all
of which are at example.com. Ids are new in each run. Exits with 5 when some
requests failed, with 1 when all did.`,
    )
}
