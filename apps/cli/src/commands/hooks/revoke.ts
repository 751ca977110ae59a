import { revokeHook as storeRevocation } from '@tidings/db/operators/hooks'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { findLiveHook } from './find-live-hook.ts'

export async function revokeHook(context: CliContext, given: string): Promise<void> {
  context.assertWritable()
  const { id, name } = await findLiveHook(context, given)
  const revoked = await storeRevocation(await context.database(), id, {
    actor: context.actor(),
    action: 'hooks.revoke',
    selector: { id, name },
    matched: 1,
    changed: 1,
    result: 'revoked',
  })
  if (!revoked) throw new CliError(EXIT.notFound, `${name} was revoked meanwhile.`)
  context.terminal.say(`Revoked ${name}, ${id}.`)
}
