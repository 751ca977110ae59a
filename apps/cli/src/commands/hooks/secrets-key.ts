import { type Hook, listHooks } from '@tidings/db/operators/hooks'
import { openSigningSecret } from '@tidings/shared/hook'
import { SealError } from '@tidings/shared/seal'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'

/**
 * The key that encrypts the secrets of hooks.
 *
 * @throws CliError when it is missing, or not the one of the other hooks: the API could not read the secret.
 */
export async function requireSecretsKey(context: CliContext): Promise<string> {
  const { HOOK_SECRETS_KEY: key } = context.env()
  if (key === undefined)
    throw new CliError(
      EXIT.failure,
      'HOOK_SECRETS_KEY is not set. It encrypts the secrets of hooks: give this command and the API the same. ' +
        'Make one with: openssl rand -base64 32',
    )
  const [unreadable] = findUnreadable(await listHooks(await context.database()), key)
  if (unreadable !== undefined)
    throw new CliError(
      EXIT.failure,
      `HOOK_SECRETS_KEY is another key than the one that hook ${unreadable.name} was made with. Use the key of the ` +
        `API. If that key is lost: tidings hooks revoke ${unreadable.name}`,
    )
  return key
}

/** The live hooks whose secrets the key does not open. */
export const findUnreadable = (hooks: readonly Hook[], key: string | undefined): Hook[] =>
  hooks.filter(({ id, credentials, revokedAt }) => {
    if (revokedAt !== null) return false
    try {
      for (const credential of credentials) openSigningSecret(key, id, [credential])
      return false
    } catch (error) {
      if (error instanceof SealError) return true
      throw error
    }
  })
