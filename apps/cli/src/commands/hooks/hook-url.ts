import type { Hook } from '@tidings/db/operators/hooks'
import { POSTMARK_USER } from '@tidings/providers/postmark/verify'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'

/**
 * The URL of a hook.
 *
 * @param password Postmark sends the user and the password of the URL, and signs nothing.
 * @throws CliError when API_URL is not set: a URL that leads nowhere must not reach a provider.
 */
export function hookUrl(context: CliContext, hook: Pick<Hook, 'id' | 'provider'>, password?: string): string {
  const { API_URL } = context.env()
  if (API_URL === undefined)
    throw new CliError(
      EXIT.failure,
      'API_URL is not set. It is the base URL at which providers reach the API.',
    )
  const url = new URL(`${API_URL.replace(/\/$/, '')}/hooks/${hook.provider}/${hook.id}`)
  if (password !== undefined) {
    url.username = POSTMARK_USER
    url.password = password
  }
  return url.href
}

const LOCAL_HOSTS = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)$/

/** Whether only this machine reaches the URL. */
export const isLocal = (url: string): boolean => LOCAL_HOSTS.test(new URL(url).hostname)
