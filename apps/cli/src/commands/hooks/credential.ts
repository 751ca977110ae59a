import { readFile } from 'node:fs/promises'
import { makeSecret, makeTrial } from '@tidings/providers/make-credential'
import type { Provider } from '@tidings/providers/provider'
import type { HookCredential } from '@tidings/shared/hook'
import { seal } from '@tidings/shared/seal'
import type { CliContext } from '../../context.ts'
import { usageError } from '../../exit-codes.ts'
import { assertReadable } from '../../input/assert-readable.ts'
import { readPiped } from '../../input/read-piped.ts'
import { assertUsable } from './check-credential.ts'
import { requireSecretsKey } from './secrets-key.ts'

export interface CredentialOptions {
  publicKey?: string
  topicArn?: readonly string[]
  secretStdin?: true
}

export interface NewCredential {
  credential: HookCredential
  /** The secret in plain text, where the provider learns it from us. */
  secretForProvider?: string
}

type OptionName = keyof CredentialOptions
const FLAGS: Record<OptionName, string> = {
  publicKey: '--public-key',
  topicArn: '--topic-arn',
  secretStdin: '--secret-stdin',
}

/** The option that a hook of a provider needs. Postmark can do without: its secret is ours to choose. */
const OPTION_OF: Record<Provider, OptionName> = {
  sendgrid: 'publicKey',
  ses: 'topicArn',
  postmark: 'secretStdin',
  mailgun: 'secretStdin',
  resend: 'secretStdin',
  twilio: 'secretStdin',
}

/** What the option takes, in the provider's words. */
const WANTED: Record<Provider, string> = {
  sendgrid: 'the verification key of the signed event webhook',
  ses: 'the ARN of the SNS topic',
  postmark: 'a password for the URL, or nothing: then one is made',
  mailgun: 'the HTTP webhook signing key',
  resend: 'the signing secret, which begins with whsec_',
  twilio: 'the auth token of the account',
}

/**
 * Makes the credential of a hook from the options, or for a trial from nothing.
 *
 * @throws CliError `usage` when the options do not suit the provider.
 */
export async function readCredential(
  context: CliContext,
  hook: { id: string; provider: Provider; isTrial: boolean },
  options: CredentialOptions,
): Promise<NewCredential> {
  const { id, provider, isTrial } = hook
  const given = (Object.keys(FLAGS) as OptionName[]).filter((name) => options[name] !== undefined)
  const wanted = OPTION_OF[provider]
  if (isTrial) {
    if (given.length > 0) throw usageError('A trial hook has a key of our own: leave out the option for one.')
    return sealTrial(await requireSecretsKey(context), id, provider)
  }
  const isMissing = given.length === 0 && provider !== 'postmark'
  if (isMissing || given.some((name) => name !== wanted))
    throw usageError(`A hook of ${provider} needs ${FLAGS[wanted]}: ${WANTED[provider]}.`)

  if (options.publicKey !== undefined) {
    const publicKey = await readArgument(context, options.publicKey)
    assertUsable(provider, { publicKey })
    return { credential: { publicKey } }
  }
  if (options.topicArn !== undefined) {
    const topicArns = [...new Set(options.topicArn)]
    assertUsable(provider, { topicArns })
    return { credential: { topicArns } }
  }
  const key = await requireSecretsKey(context)
  const secret = options.secretStdin ? await readSecret(context, provider) : makeSecret(provider)
  assertUsable(provider, { secret })
  return {
    credential: { sealed: seal(key, id, secret) },
    ...(provider === 'postmark' && { secretForProvider: secret }),
  }
}

function sealTrial(key: string, id: string, provider: Provider): NewCredential {
  const { signingSecret, ...credential } = makeTrial(provider)
  return {
    credential: { ...credential, sealed: seal(key, id, signingSecret) },
    ...(provider === 'postmark' && { secretForProvider: signingSecret }),
  }
}

const readSecret = (context: CliContext, provider: Provider) =>
  readPiped(context, {
    noun: 'secret',
    advice: `--secret-stdin reads a pipe: … --secret-stdin < file. It takes ${WANTED[provider]}.`,
  })

/** The text itself, or the content of the file after the @. */
async function readArgument(context: CliContext, text: string): Promise<string> {
  if (!text.startsWith('@')) return text.trim()
  const path = context.resolvePath(text.slice(1))
  await assertReadable(path, text.slice(1))
  return (await readFile(path, 'utf8')).trim()
}
