import { findHook, findHookByName, type Hook } from '@tidings/db/operators/hooks'
import { PROVIDERS, type Provider } from '@tidings/providers/provider'
import { isHookId } from '@tidings/shared/hook'
import { z } from 'zod'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'

export type KnownHook = Hook & { provider: Provider }

const providerSchema = z.enum(PROVIDERS)

/** @throws CliError `not found` when no live hook has this name or id. */
export async function findLiveHook(context: CliContext, given: string): Promise<KnownHook> {
  const db = await context.database()
  const hook = (isHookId(given) ? await findHook(db, given) : undefined) ?? (await findHookByName(db, given))
  if (hook === undefined)
    throw new CliError(EXIT.notFound, `There is no live hook ${given}: tidings hooks list`)
  const provider = providerSchema.safeParse(hook.provider)
  if (!provider.success)
    throw new CliError(
      EXIT.failure,
      `This version does not know the provider ${hook.provider}. Use a newer one.`,
    )
  return { ...hook, provider: provider.data }
}
