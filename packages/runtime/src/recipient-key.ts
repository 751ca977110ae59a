import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import type { Logger } from './log.ts'

/** Warns once at the start when the installation has no key of its own. */
export function warnAboutRecipientKey(recipientKey: string, log: Logger): void {
  if (recipientKey !== DEFAULT_RECIPIENT_KEY) return
  log.warn(
    'RECIPIENT_KEY is not set: recipients are digested with a public key, so anybody who reads a digest can guess its ' +
      'address, and there are no unsubscribe links. Set a secret of its own, the same in every app.',
  )
}
