import type { StoredEvent } from '@tidings/db/events/notifications'
import type { NotificationSummary } from '@tidings/shared/notification-summary'
import type { CliContext } from '../../context.ts'
import { createMask } from '../../mask-output.ts'
import { type Column, printable, toTable } from '../../terminal/table.ts'

/** Width of a table of events where stdout is no terminal, in columns. */
const EVENTS_WIDTH = 200

const TIME: Column<StoredEvent> = {
  title: 'TIME',
  cell: (event) => event.timestamp,
  style: 'dim',
  whole: true,
}
const STATUS: Column<StoredEvent> = {
  title: 'STATUS',
  cell: ({ status }) => status,
  style: 'yellow',
  whole: true,
}

/** The current status and, with `explain`, the reason. Then the times of engagement. */
export function describeSummary(summary: NotificationSummary, explain: boolean): string[] {
  const { notification_type, notification_id, status } = summary
  const lines = [`${notification_type} ${printable(notification_id)}: ${status ?? 'no delivery status yet'}`]
  if (explain) lines.push(`Why: ${printable(summary.explain)}`)
  for (const name of ['opened_at', 'clicked_at', 'unsubscribed_at'] as const)
    if (summary[name] !== null) lines.push(`${name.replace('_at', '').padEnd(13)} ${summary[name]}`)
  return lines
}

/** The events of one notification as a table. */
export const drawTimeline = (context: CliContext, timeline: readonly StoredEvent[]) =>
  drawEvents(context, timeline, [
    TIME,
    STATUS,
    { title: 'TRY', cell: (event) => String(event.attempt ?? '-'), align: 'right' },
    { title: 'SOURCE', cell: (event) => event.source, spare: 2 },
    { title: 'PROVIDER', cell: (event) => event.provider ?? '-', spare: 1 },
  ])

/** The events of several notifications as a table. */
export function drawEventList(context: CliContext, events: readonly StoredEvent[]): string {
  const mask = createMask(context)
  return drawEvents(context, events, [
    TIME,
    { title: 'TYPE', cell: (event) => event.notification_type },
    STATUS,
    { title: 'NOTIFICATION', cell: (event) => mask(event.notification_id), maxWidth: 40 },
  ])
}

function drawEvents(
  context: CliContext,
  events: readonly StoredEvent[],
  columns: readonly Column<StoredEvent>[],
): string {
  const { terminal } = context
  const mask = createMask(context)
  const error: Column<StoredEvent> = {
    ...{ title: 'ERROR', cell: (event) => mask(errorText(event)), style: 'red', wraps: true },
  }
  return toTable(
    events,
    [...columns, error],
    terminal.width ?? EVENTS_WIDTH,
    terminal.colors.stdout,
  ).trimEnd()
}

const errorText = ({ error }: StoredEvent) =>
  error === null
    ? ''
    : typeof error === 'string'
      ? error
      : [error.code, error.message].filter(Boolean).join(': ')
