import { randomBytes } from 'node:crypto'
import type { EnvFileVariables } from '@tidings/runtime/env-file'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'

/**
 * Returns the key of recipients' digests: the given one, otherwise that of the previous start, otherwise a new one. With
 * another key, earlier digests are not found.
 */
export function chooseRecipientKey(given: string, previous: EnvFileVariables): string {
  const own = [given, previous.RECIPIENT_KEY].find(
    (key) => key !== undefined && key !== DEFAULT_RECIPIENT_KEY,
  )
  return own ?? newKey()
}

/** Returns the key of hooks' secrets, chosen likewise. With another key, they cannot be read. */
export const chooseHookSecretsKey = (given: string | undefined, previous: EnvFileVariables): string =>
  given ?? previous.HOOK_SECRETS_KEY ?? newKey()

const newKey = () => randomBytes(32).toString('base64url')
