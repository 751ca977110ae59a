import { listServiceKeys, type ServiceKey } from '@tidings/db/operators/service-keys'
import type { CliContext } from '../../context.ts'
import { formatAge, formatCount } from '../../terminal/format.ts'
import { writeList } from '../../terminal/output.ts'
import type { Column } from '../../terminal/table.ts'

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
      { title: 'KEY', cell: (key) => `${key.prefix}…`, spare: 5 },
      { title: 'SCOPES', cell: (key) => key.scopes.join(' '), spare: 1 },
      { title: 'LIMIT', cell: formatLimit, spare: 3 },
      { ...time('AGE', (key) => key.createdAt), spare: 2 },
      { ...time('USED', (key) => key.lastUsedAt), spare: 4 },
      { ...time('REVOKED', (key) => key.revokedAt), style: 'red' },
    ],
    json: (key) => ({
      id: key.id,
      name: key.name,
      prefix: key.prefix,
      scopes: key.scopes,
      events_per_second: key.eventsPerSecond,
      burst: key.burst ?? key.eventsPerSecond,
      created_at: key.createdAt,
      last_used_at: key.lastUsedAt,
      revoked_at: key.revokedAt,
    }),
    id: (key) => key.id,
  })
}

function formatLimit({ eventsPerSecond, burst }: ServiceKey): string {
  if (eventsPerSecond === null) return '-'
  return `${formatCount(eventsPerSecond)}/s, ${formatCount(burst ?? eventsPerSecond)} at once`
}
