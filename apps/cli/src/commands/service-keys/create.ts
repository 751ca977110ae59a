import { createServiceKey } from '@tidings/db/operators/service-keys'
import type { Scope } from '@tidings/shared/service-key'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { writeItem } from '../../terminal/output.ts'

export async function createKey(context: CliContext, name: string, scopes: readonly Scope[]): Promise<void> {
  context.assertWritable()
  if (!/^[\w.-]{1,64}$/.test(name))
    throw usageError('A name has 1 to 64 letters, digits, dots, dashes or underscores.')
  const unique = [...new Set(scopes)]
  const db = await context.database()
  const result = await createServiceKey(db, name, unique, (id) => ({
    actor: context.actor(),
    action: 'service-keys.create',
    selector: { name, scopes: unique },
    matched: 1,
    changed: 1,
    result: `created ${id}`,
  }))
  if (result.outcome === 'too_many_live_keys') {
    throw new CliError(
      EXIT.failure,
      `${name} has two live keys already. Revoke one first: tidings service-keys list`,
    )
  }
  const { id, key } = result
  await writeItem(context, { id, name, key, scopes: unique }, context.globals.output === 'id' ? id : key)
  context.terminal.say(`Its id is ${id}. This is the only time the key is shown.`)
}
