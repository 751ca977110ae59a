import type { Provider } from '@tidings/providers/provider'
import { keyOf } from '@tidings/providers/resend/sign'
import { readSendgridKey } from '@tidings/providers/sendgrid/verify'
import { usageError } from '../../exit-codes.ts'

interface GivenCredential {
  secret?: string
  publicKey?: string
  topicArns?: readonly string[]
}

const TOPIC_ARN = /^arn:aws(?:-cn|-us-gov)?:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}(?:\.fifo)?$/
/** What keys of providers and the password in a URL may hold. */
const SECRET = /^[\x21-\x7e]{8,512}$/

/** @throws CliError `usage` for what can never verify a request: the operator learns it now, not from refused events. */
export function assertUsable(provider: Provider, given: GivenCredential): void {
  const { secret, publicKey, topicArns = [] } = given
  if (publicKey !== undefined && readSendgridKey(publicKey) === undefined)
    throw usageError(
      'This is no verification key of SendGrid: base64 that begins with MFkw, or its PEM file.',
    )
  for (const arn of topicArns)
    if (!TOPIC_ARN.test(arn))
      throw usageError('The ARN of a topic looks like arn:aws:sns:eu-west-1:123456789012:mail-events.')
  if (secret === undefined) return
  if (!SECRET.test(secret))
    throw usageError('A secret has 8 to 512 visible ASCII characters. Is there something else in the pipe?')
  if (provider === 'resend' && keyOf(secret) === undefined)
    throw usageError('The signing secret of Resend is whsec_ and base64.')
}
