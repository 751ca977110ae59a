import { readNotification, type StoredEvent } from '@tidings/db/events/notifications'
import { type DeadLetterEntry, SCAN_PAGE } from '@tidings/queue/dead-letters/entry'
import { createMatcher } from '@tidings/queue/dead-letters/filter'
import { scanDeadLetters } from '@tidings/queue/dead-letters/store'
import { maskText } from '@tidings/shared/mask'
import { foldNotification, type NotificationState } from '@tidings/shared/notification-status'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { toShown } from '../../mask-output.ts'
import { printable, toTable, writeItem } from '../../terminal/output.ts'

export async function runStatus(context: CliContext, id: string, explain: boolean): Promise<void> {
  const { timeline, deciding } = await readNotification(await context.database(), id)
  const dead = explain ? await findDeadLetters(context, id) : []
  const [first] = timeline
  if (first === undefined) {
    throw new CliError(
      EXIT.notFound,
      `No event of notification ${printable(id)} is stored.${hintAtDeath(explain, dead)}`,
    )
  }
  const state = foldNotification(deciding)
  const notification = {
    notification_id: first.notification_id,
    notification_type: first.notification_type,
    user_id: timeline.find((event) => event.user_id !== null)?.user_id ?? null,
    ...state,
    timeline,
    ...(explain && {
      dead_letters: dead.map((entry) => ({ id: entry.id, reason: entry.reason, error: entry.error })),
    }),
  }
  const text = describe(context, notification.notification_type, id, state, timeline, explain, dead)
  await writeItem(context, toShown(context.globals, notification), text)
}

function hintAtDeath(explain: boolean, dead: readonly DeadLetterEntry[]): string {
  if (!explain) return ' Is it a dead letter? Add --explain.'
  return dead.length > 0 ? ` It has dead letters: ${dead.map((entry) => entry.id).join(', ')}.` : ''
}

async function findDeadLetters(context: CliContext, notificationId: string): Promise<DeadLetterEntry[]> {
  const matches = createMatcher({ notificationId })
  const found: DeadLetterEntry[] = []
  for await (const page of scanDeadLetters(await context.deadLetters(), { pageSize: SCAN_PAGE }))
    found.push(...page.map(({ entry }) => entry).filter(matches))
  return found
}

function describe(
  context: CliContext,
  type: string,
  id: string,
  state: NotificationState,
  timeline: readonly StoredEvent[],
  explain: boolean,
  dead: readonly DeadLetterEntry[],
): string {
  const { terminal, globals } = context
  const mask = globals.showSensitive ? (text: string) => text : maskText
  const lines = [`${type} ${printable(id)}: ${state.status ?? 'no delivery status yet'}`]
  if (explain) lines.push(`Why: ${state.explain}`)
  for (const name of ['opened_at', 'clicked_at', 'unsubscribed_at'] as const)
    if (state[name] !== null) lines.push(`${name.replace('_at', '').padEnd(13)} ${state[name]}`)
  const table = toTable(
    timeline,
    [
      { title: 'TIME', cell: (event: StoredEvent) => event.timestamp, style: 'dim' },
      { title: 'STATUS', cell: (event) => event.status, style: 'yellow' },
      { title: 'TRY', cell: (event) => String(event.attempt ?? '-'), align: 'right' },
      { title: 'SOURCE', cell: (event) => event.source },
      { title: 'PROVIDER', cell: (event) => event.provider ?? '-' },
      { title: 'ERROR', cell: (event) => mask(errorText(event)), style: 'red' },
    ],
    terminal.width ?? 200,
    terminal.colors.stdout,
  )
  lines.push('', table.trimEnd())
  for (const entry of dead)
    lines.push('', `Dead letter: ${entry.id}  ${entry.reason}  ${mask(printable(entry.error.message))}`)
  return lines.join('\n')
}

const errorText = ({ error }: StoredEvent) =>
  error === null
    ? ''
    : typeof error === 'string'
      ? error
      : [error.code, error.message].filter(Boolean).join(': ')
