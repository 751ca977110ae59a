import { randomBytes } from 'node:crypto'
import type { Provider } from './provider.ts'
import { makeSendgridKeys } from './sendgrid/sign.ts'
import { makeSesKeys } from './ses/sign.ts'

/** Made up: SNS has no account of zeros. */
const TRIAL_TOPIC = 'arn:aws:sns:eu-west-1:000000000000:tidings-trial'

interface TrialCredential {
  /** What the simulator signs with. */
  signingSecret: string
  publicKey?: string
  topicArns?: string[]
}

/** Makes the credential of a trial hook: both halves of a key pair, or a secret. */
export function makeTrial(provider: Provider): TrialCredential {
  switch (provider) {
    case 'sendgrid': {
      const { publicKey, privateKey } = makeSendgridKeys()
      return { publicKey, signingSecret: privateKey }
    }
    case 'ses': {
      const { publicKey, privateKey } = makeSesKeys()
      return { publicKey, signingSecret: privateKey, topicArns: [TRIAL_TOPIC] }
    }
    default:
      return { signingSecret: makeSecret(provider) }
  }
}

/** A secret of 192 random bits, in the provider's form. It is fit for a URL. */
export function makeSecret(provider: Provider): string {
  const bytes = randomBytes(24)
  return provider === 'resend' ? `whsec_${bytes.toString('base64')}` : bytes.toString('hex')
}
