import {
  createServiceKey,
  listServiceKeys,
  revokeServiceKey,
  type ServiceKey,
} from '@tidings/db/operators/service-keys'
import type { Scope } from '@tidings/shared/service-key'
import { z } from 'zod'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { formatAge } from '../../terminal/format.ts'
import { type Column, writeItem, writeList } from '../../terminal/output.ts'

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

export async function listKeys(context: CliContext): Promise<void> {
  const time = (title: string, date: (key: ServiceKey) => Date | null): Column<ServiceKey> => ({
    title,
    cell: (key) => {
      const at = date(key)
      return at === null ? '-' : formatAge(at.toISOString())
    },
    raw: (key) => date(key)?.toISOString() ?? '-',
    align: 'right',
  })
  await writeList<ServiceKey>(context, await listServiceKeys(await context.database()), {
    columns: [
      { title: 'ID', cell: (key) => key.id, whole: true },
      { title: 'NAME', cell: (key) => key.name, style: 'bold' },
      { title: 'KEY', cell: (key) => `${key.prefix}…`, spare: 3 },
      { title: 'SCOPES', cell: (key) => key.scopes.join(' '), spare: 1 },
      { ...time('AGE', (key) => key.createdAt), spare: 2 },
      { ...time('USED', (key) => key.lastUsedAt), spare: 4 },
      { ...time('REVOKED', (key) => key.revokedAt), style: 'red' },
    ],
    json: (key) => ({
      id: key.id,
      name: key.name,
      prefix: key.prefix,
      scopes: key.scopes,
      created_at: key.createdAt,
      last_used_at: key.lastUsedAt,
      revoked_at: key.revokedAt,
    }),
    id: (key) => key.id,
  })
}

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
