import { type Hook, listHooks as readHooks } from '@tidings/db/operators/hooks'
import type { CliContext } from '../../context.ts'
import { formatAge } from '../../terminal/format.ts'
import { writeList } from '../../terminal/output.ts'
import type { Column } from '../../terminal/table.ts'

export async function listHooks(context: CliContext): Promise<void> {
  const time = (title: string, date: (hook: Hook) => Date | null): Column<Hook> => ({
    title,
    cell: (hook) => {
      const at = date(hook)
      return at === null ? '-' : formatAge(at.toISOString())
    },
    raw: (hook) => date(hook)?.toISOString() ?? '-',
    align: 'right',
  })
  await writeList<Hook>(context, await readHooks(await context.database()), {
    columns: [
      { title: 'ID', cell: ({ id }) => id, whole: true },
      { title: 'NAME', cell: ({ name }) => name, style: 'bold' },
      { title: 'PROVIDER', cell: ({ provider }) => provider },
      { title: 'STATE', cell: describeState, spare: 3 },
      { ...time('AGE', ({ createdAt }) => createdAt), spare: 1 },
      { ...time('USED', ({ lastUsedAt }) => lastUsedAt), spare: 4 },
      { ...time('REVOKED', ({ revokedAt }) => revokedAt), spare: 2, style: 'red' },
    ],
    json: toHookJson,
    id: ({ id }) => id,
  })
}

/** A hook without what it verifies with. */
export const toHookJson = ({ id, provider, name, isTrial, credentials, ...hook }: Hook) => ({
  id,
  provider,
  name,
  trial: isTrial,
  rotating: credentials.length > 1,
  created_at: hook.createdAt,
  last_used_at: hook.lastUsedAt,
  revoked_at: hook.revokedAt,
})

export function describeState({ revokedAt, isTrial, credentials }: Hook): string {
  if (revokedAt !== null) return 'revoked'
  const states = [...(isTrial ? ['trial'] : []), ...(credentials.length > 1 ? ['rotating'] : [])]
  return states.join(', ') || 'live'
}
