import {
  listSuppressions,
  type Suppression,
  type SuppressionFilter,
} from '@tidings/db/suppressions/suppressions'
import { isUsableTime } from '@tidings/shared/status-event'
import { isUuid } from '@tidings/shared/uuid'
import type { CliContext } from '../../context.ts'
import { usageError } from '../../exit-codes.ts'
import { createMask } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { type ListView, openList } from '../../terminal/output.ts'

export interface ListOptions extends SuppressionFilter {
  limit: number
  cursor?: string
}

const PAGE = 1_000

export async function runList(context: CliContext, options: ListOptions): Promise<void> {
  const { limit, cursor, channel, reason, category, digest } = options
  const db = await context.database()
  const list = openList(context, suppressionView(context))
  let after = cursor === undefined ? undefined : parseCursor(cursor)
  let listed = 0
  for (;;) {
    const wanted = Math.min(PAGE, limit - listed)
    const rows = await listSuppressions(
      db,
      { channel, reason, category, digest },
      { limit: wanted + 1, after },
    )
    const page = rows.slice(0, wanted)
    await list.write(page)
    listed += page.length
    after = page.at(-1)
    const isLast = rows.length <= wanted
    if (!isLast && listed < limit) continue
    await list.end()
    if (!isLast && after !== undefined) context.terminal.say(`More: add --cursor ${writeCursor(after)}`)
    else if (context.terminal.width !== undefined && listed === 0)
      context.terminal.say('No suppressions match.')
    return
  }
}

const writeCursor = ({ since, id }: { since: Date; id: string }) => `${since.getTime()}.${id}`

function parseCursor(cursor: string): { since: Date; id: string } {
  const [, time, id] = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(cursor) ?? []
  if (id === undefined || !isUuid(id) || !isUsableTime(Number(time)))
    throw usageError('--cursor takes what an earlier page printed.')
  return { since: new Date(Number(time)), id }
}

function suppressionView(context: CliContext): ListView<Suppression> {
  const mask = createMask(context)
  return {
    columns: [
      { title: 'DIGEST', cell: ({ digest }) => digest, whole: true },
      { title: 'CHANNEL', cell: ({ channel }) => channel, spare: 5 },
      { title: 'REASON', cell: ({ reason }) => reason, style: 'yellow' },
      { title: 'CATEGORY', cell: ({ category }) => category ?? '-', spare: 4 },
      { title: 'ORIGIN', cell: ({ origin }) => mask(origin), spare: 3 },
      {
        title: 'AGE',
        cell: ({ since }) => formatAge(since.toISOString()),
        raw: ({ since }) => since.toISOString(),
        align: 'right',
        spare: 6,
      },
      { title: 'UNTIL', cell: ({ until }) => until?.toISOString() ?? '-', spare: 2 },
      { title: 'NOTE', cell: ({ note }) => (note === null ? '-' : mask(note)), spare: 1 },
    ],
    json: (item) => ({ ...item, note: item.note === null ? null : mask(item.note) }),
    id: ({ digest }) => digest,
  }
}
