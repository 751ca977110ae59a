import {
  createServiceKey,
  listServiceKeys,
  revokeServiceKey,
  type ServiceKey,
} from '@tidings/db/service-keys'
import { SCOPES, type Scope } from '@tidings/shared/service-key'
import { type Command, Option } from 'commander'
import { z } from 'zod'
import { recordAudit } from '../audit.ts'
import type { CliContext } from '../context.ts'
import { CliError, EXIT, usageError } from '../exit-codes.ts'
import { writeItem, writeList } from '../output.ts'

export function registerServiceKeys(program: Command, context: CliContext): void {
  const keys = program.command('service-keys').description('Credentials of services and operators.')
  keys
    .command('create')
    .description('Make a key. It is shown once; only its digest is stored.')
    .argument('<name>', 'becomes the source of every event reported with the key')
    .addOption(
      new Option('--scope <scope...>', 'what the key may do; give several, or repeat it')
        .choices(SCOPES)
        .makeOptionMandatory(),
    )
    .action((name: string, options: { scope: Scope[] }) => createKey(context, name, options.scope))
    .addHelpText(
      'after',
      `
Examples:
  tidings service-keys create email-service --scope status:write:email
  tidings service-keys create ops --scope dlq:read dlq:write -o json | jq -r .key`,
    )
  keys
    .command('list')
    .description('List keys, live and revoked, oldest first.')
    .action(() => listKeys(context))
    .addHelpText('after', '\nExamples:\n  tidings service-keys list\n  tidings service-keys list -o json')
  keys
    .command('revoke')
    .description('End a key. Running APIs refuse it within a minute.')
    .argument('<id>', 'as shown by service-keys list')
    .action((id: string) => revokeKey(context, id))
    .addHelpText('after', '\nExample:\n  tidings service-keys revoke 0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee')
}

async function createKey(context: CliContext, name: string, scopes: readonly Scope[]): Promise<void> {
  context.assertWritable()
  if (!/^[\w.-]{1,64}$/.test(name))
    throw usageError('A name has 1 to 64 letters, digits, dots, dashes or underscores.')
  const unique = [...new Set(scopes)]
  const db = context.database()
  const result = await createServiceKey(db, name, unique)
  if (result.outcome === 'too_many_live_keys') {
    throw new CliError(
      EXIT.failure,
      `${name} has two live keys already. Revoke one first: tidings service-keys list`,
    )
  }
  const { id, key } = result
  await recordAudit(context, {
    action: 'service-keys.create',
    selector: { name, scopes: unique },
    matched: 1,
    changed: 1,
    result: `created ${id}`,
  })
  await writeItem(context, { id, name, key, scopes: unique }, context.globals.output === 'id' ? id : key)
  context.terminal.say('This is the only time the key is shown.')
}

async function listKeys(context: CliContext): Promise<void> {
  const time = (date: Date | null) => date?.toISOString() ?? '-'
  await writeList<ServiceKey>(context, await listServiceKeys(context.database()), {
    columns: [
      { title: 'ID', cell: (key) => key.id },
      { title: 'NAME', cell: (key) => key.name, style: 'bold' },
      { title: 'KEY', cell: (key) => `${key.prefix}…` },
      { title: 'SCOPES', cell: (key) => key.scopes.join(' ') },
      { title: 'CREATED', cell: (key) => time(key.createdAt) },
      { title: 'LAST USED', cell: (key) => time(key.lastUsedAt) },
      { title: 'REVOKED', cell: (key) => time(key.revokedAt), style: 'red' },
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

async function revokeKey(context: CliContext, id: string): Promise<void> {
  context.assertWritable()
  if (!z.guid().safeParse(id).success) throw usageError('A key is named by its id, a UUID.')
  const revoked = await revokeServiceKey(context.database(), id)
  if (!revoked) throw new CliError(EXIT.notFound, `There is no live key ${id}.`)
  await recordAudit(context, {
    action: 'service-keys.revoke',
    selector: { id },
    matched: 1,
    changed: 1,
    result: 'revoked',
  })
  context.terminal.say(`Revoked ${id}.`)
}
