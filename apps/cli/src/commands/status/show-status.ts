import { readNotifications, type StoredEvent } from '@tidings/db/events/notifications'
import { type DeadLetterEntry, SCAN_PAGE } from '@tidings/queue/dead-letters/entry'
import { createMatcher, type DeadLetterFilter } from '@tidings/queue/dead-letters/filter'
import { scanDeadLetters } from '@tidings/queue/dead-letters/store'
import { type NotificationSummary, summarizeNotification } from '@tidings/shared/notification-summary'
import type { NotificationType } from '@tidings/shared/status-event'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { writeItem } from '../../terminal/output.ts'
import { type Column, printable, toTable } from '../../terminal/table.ts'

/** Width of the timeline where stdout is no terminal, in columns. */
const TIMELINE_WIDTH = 200

const COLUMNS: readonly Column<StoredEvent>[] = [
  { title: 'TIME', cell: (event) => event.timestamp, style: 'dim' },
  { title: 'STATUS', cell: (event) => event.status, style: 'yellow' },
  { title: 'TRY', cell: (event) => String(event.attempt ?? '-'), align: 'right' },
  { title: 'SOURCE', cell: (event) => event.source },
  { title: 'PROVIDER', cell: (event) => event.provider ?? '-' },
]

export interface ShowStatusOptions {
  /** Also shows the rule that decided, and the dead letters of the notification. */
  explain: boolean
  /** Without it, the notifications of every type with this id. */
  type: NotificationType | undefined
}

/**
 * Shows a notification, or several when notifications of several types have this id.
 *
 * @throws CliError `notFound` when no event of it is stored.
 */
export async function showStatus(
  context: CliContext,
  id: string,
  { explain, type }: ShowStatusOptions,
): Promise<void> {
  const found = await readNotifications(await context.database(), id, type && [type])
  const dead = explain ? await findDeadLetters(context, { notificationId: id, type }) : []
  if (found.length === 0) {
    throw new CliError(
      EXIT.notFound,
      `No event of notification ${printable(id)} is stored.${explain ? nameDeadLetters(dead) : ' Is it a dead letter? Add --explain.'}`,
    )
  }
  const views = found.flatMap((events) => {
    const summary = summarizeNotification(events)
    if (summary === undefined) return []
    // The event of a dead letter may lack its type.
    const isOwn = found.length === 1 ? () => true : createMatcher({ type: summary.notification_type })
    return [viewOf(context, summary, events.timeline, explain ? dead.filter(isOwn) : undefined)]
  })
  const [only, ...others] = views
  if (only === undefined) return
  const shown = others.length === 0 ? only.shown : views.map((view) => view.shown)
  await writeItem(context, toShown(context.globals, shown), views.map(({ text }) => text).join('\n\n'))
}

/** @param dead undefined without `--explain` */
function viewOf(
  context: CliContext,
  summary: NotificationSummary,
  timeline: readonly StoredEvent[],
  dead: readonly DeadLetterEntry[] | undefined,
) {
  const shown = {
    ...summary,
    timeline,
    ...(dead && {
      dead_letters: dead.map((entry) => ({ id: entry.id, reason: entry.reason, error: entry.error })),
    }),
  }
  const text = [
    ...describeSummary(summary, dead !== undefined),
    '',
    drawTimeline(context, timeline),
    ...describeDeadLetters(context, dead ?? []),
  ]
  return { shown, text: text.join('\n') }
}

const nameDeadLetters = (dead: readonly DeadLetterEntry[]) =>
  dead.length > 0 ? ` It has dead letters: ${dead.map((entry) => entry.id).join(', ')}.` : ''

async function findDeadLetters(context: CliContext, filter: DeadLetterFilter): Promise<DeadLetterEntry[]> {
  const matches = createMatcher(filter)
  const found: DeadLetterEntry[] = []
  for await (const page of scanDeadLetters(await context.deadLetters(), { pageSize: SCAN_PAGE }))
    found.push(...page.map(({ entry }) => entry).filter(matches))
  return found
}

function describeSummary(summary: NotificationSummary, explain: boolean): string[] {
  const { notification_type, notification_id, status } = summary
  const lines = [`${notification_type} ${printable(notification_id)}: ${status ?? 'no delivery status yet'}`]
  if (explain) lines.push(`Why: ${summary.explain}`)
  for (const name of ['opened_at', 'clicked_at', 'unsubscribed_at'] as const)
    if (summary[name] !== null) lines.push(`${name.replace('_at', '').padEnd(13)} ${summary[name]}`)
  return lines
}

function drawTimeline(context: CliContext, timeline: readonly StoredEvent[]): string {
  const { terminal } = context
  const mask = createMask(context)
  const columns: Column<StoredEvent>[] = [
    ...COLUMNS,
    { title: 'ERROR', cell: (event) => mask(errorText(event)), style: 'red' },
  ]
  return toTable(timeline, columns, terminal.width ?? TIMELINE_WIDTH, terminal.colors.stdout).trimEnd()
}

function describeDeadLetters(context: CliContext, dead: readonly DeadLetterEntry[]): string[] {
  const mask = createMask(context)
  return dead.flatMap((entry) => [
    '',
    `Dead letter: ${entry.id}  ${entry.reason}  ${mask(printable(entry.error.message))}`,
  ])
}

const errorText = ({ error }: StoredEvent) =>
  error === null
    ? ''
    : typeof error === 'string'
      ? error
      : [error.code, error.message].filter(Boolean).join(': ')
