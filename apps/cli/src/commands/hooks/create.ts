import { createHook as storeHook } from '@tidings/db/operators/hooks'
import type { Provider } from '@tidings/providers/provider'
import { hookNameSchema, isHookId, newHookId } from '@tidings/shared/hook'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { writeItem } from '../../terminal/output.ts'
import { type CredentialOptions, readCredential } from './credential.ts'
import { hookUrl, isLocal } from './hook-url.ts'
import { describeNextStep } from './next-step.ts'

export interface CreateHookOptions extends CredentialOptions {
  name: string
  trial?: true
}

export async function createHook(
  context: CliContext,
  provider: Provider,
  options: CreateHookOptions,
): Promise<void> {
  context.assertWritable()
  const { name } = options
  if (!hookNameSchema.safeParse(name).success || isHookId(name))
    throw usageError('A name has 1 to 64 letters, digits, dots, dashes or underscores, and is no id.')
  const id = newHookId()
  const isTrial = options.trial === true
  // Before anything is stored: it fails without API_URL.
  hookUrl(context, { id, provider })
  const { credential, secretForProvider } = await readCredential(context, { id, provider, isTrial }, options)
  const outcome = await storeHook(
    await context.database(),
    { id, provider, name, credentials: [credential], isTrial },
    {
      actor: context.actor(),
      action: 'hooks.create',
      selector: { name, provider, ...(isTrial && { trial: true }) },
      matched: 1,
      changed: 1,
      result: `created ${id}`,
    },
  )
  if (outcome === 'name_taken')
    throw new CliError(
      EXIT.failure,
      `There is a live hook ${name}. Use another name, or: tidings hooks revoke ${name}`,
    )
  const url = hookUrl(context, { id, provider }, secretForProvider)
  await writeItem(context, { id, provider, name, url }, context.globals.output === 'id' ? id : url)
  const { terminal } = context
  if (secretForProvider !== undefined)
    terminal.say('The URL holds the password. This is the only time it is shown.')
  if (isTrial)
    terminal.say(`This is a trial. Send traffic to it: tidings hooks simulate ${provider} --hook ${name}`)
  else terminal.say(describeNextStep(provider))
  if (!isTrial && isLocal(url))
    terminal.say(
      `Only this machine reaches the URL. Set API_URL to the public URL of the API. Then tidings hooks show ${name} ` +
        'prints the new one.',
    )
}
