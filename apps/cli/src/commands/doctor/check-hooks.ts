import { listHooks } from '@tidings/db/operators/hooks'
import type { CliContext } from '../../context.ts'
import { formatCount } from '../../terminal/format.ts'
import { findUnreadable } from '../hooks/secrets-key.ts'
import { type CheckResult, failure, ok } from './check-result.ts'

export const HOOKS = 'Hooks'

/** Checks that the API can read the secrets of every hook, if it has the same HOOK_SECRETS_KEY. */
export async function checkHooks(context: CliContext): Promise<CheckResult[]> {
  const hooks = await listHooks(await context.database())
  const { HOOK_SECRETS_KEY: key } = context.env()
  const unreadable = findUnreadable(hooks, key)
  if (unreadable.length > 0)
    return [
      failure(
        HOOKS,
        `the secrets of ${unreadable.map(({ name }) => name).join(', ')} cannot be read`,
        key === undefined
          ? 'Set HOOK_SECRETS_KEY, here and for the API.'
          : 'Set HOOK_SECRETS_KEY to the key that they were made with, here and for the API. If it is lost, revoke them.',
      ),
    ]
  return [ok(HOOKS, `${formatCount(hooks.filter(({ revokedAt }) => revokedAt === null).length)} live`)]
}
