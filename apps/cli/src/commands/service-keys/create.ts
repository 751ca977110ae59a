import { createServiceKey } from '@tidings/db/operators/service-keys'
import type { Scope } from '@tidings/shared/service-key'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { writeItem } from '../../terminal/output.ts'

export interface CreateKeyOptions {
  scope: readonly Scope[]
  eventsPerSecond?: number
  burst?: number
}

export async function createKey(context: CliContext, name: string, options: CreateKeyOptions): Promise<void> {
  const { scope: scopes, eventsPerSecond, burst } = options
  context.assertWritable()
  if (!/^[\w.-]{1,64}$/.test(name))
    throw usageError('A name has 1 to 64 letters, digits, dots, dashes or underscores.')
  if (burst !== undefined && eventsPerSecond === undefined)
    throw usageError('--burst needs --events-per-second.')
  const unique = [...new Set(scopes)]
  const limit = eventsPerSecond === undefined ? {} : { events_per_second: eventsPerSecond, burst }
  const db = await context.database()
  const result = await createServiceKey(db, name, unique, {
    eventsPerSecond,
    burst,
    audit: (id) => ({
      actor: context.actor(),
      action: 'service-keys.create',
      selector: { name, scopes: unique, ...limit },
      matched: 1,
      changed: 1,
      result: `created ${id}`,
    }),
  })
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
