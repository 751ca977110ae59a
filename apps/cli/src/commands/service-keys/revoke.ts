import { revokeServiceKey } from '@tidings/db/operators/service-keys'
import { z } from 'zod'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'

export async function revokeKey(context: CliContext, id: string): Promise<void> {
  context.assertWritable()
  if (!z.guid().safeParse(id).success) throw usageError('A key is named by its id, a UUID.')
  const revoked = await revokeServiceKey(await context.database(), id, {
    actor: context.actor(),
    action: 'service-keys.revoke',
    selector: { id },
    matched: 1,
    changed: 1,
    result: 'revoked',
  })
  if (!revoked) throw new CliError(EXIT.notFound, `There is no live key ${id}.`)
  context.terminal.say(`Revoked ${id}.`)
}
