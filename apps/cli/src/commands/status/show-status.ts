import { countOutboxEvents } from '@tidings/db/events/event-outbox'
import { readNotifications, type StoredEvent } from '@tidings/db/events/notifications'
import { type DeadLetterEntry, SCAN_PAGE } from '@tidings/queue/dead-letters/entry'
import { createMatcher, type DeadLetterFilter } from '@tidings/queue/dead-letters/filter'
import { scanDeadLetters } from '@tidings/queue/dead-letters/scan'
import { countJobs } from '@tidings/queue/queue-depth'
import { type NotificationSummary, summarizeNotification } from '@tidings/shared/notification-summary'
import type { NotificationType } from '@tidings/shared/status-event'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { formatCount } from '../../terminal/format.ts'
import { writeItem } from '../../terminal/output.ts'
import { printable } from '../../terminal/table.ts'
import { describeSummary, drawTimeline } from './draw-notification.ts'

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
  const waiting = explain ? await readWaiting(context) : undefined
  if (found.length === 0) {
    throw new CliError(
      EXIT.notFound,
      [
        `No event of notification ${printable(id)} is stored.`,
        ...(explain ? nameDeadLetters(dead) : ['Does it wait, or is it a dead letter? Add --explain.']),
        ...describeWaiting(waiting),
      ].join(' '),
    )
  }
  const views = found.flatMap((events) => {
    const summary = summarizeNotification(events)
    if (summary === undefined) return []
    // The event of a dead letter may lack its type.
    const isOwn = found.length === 1 ? () => true : createMatcher({ type: summary.notification_type })
    const explanation = waiting && { dead: dead.filter(isOwn), waiting }
    return [viewOf(context, summary, events.timeline, explanation)]
  })
  const [only, ...others] = views
  if (only === undefined) return
  const shown = others.length === 0 ? only.shown : views.map((view) => view.shown)
  await writeItem(context, toShown(context.globals, shown), views.map(({ text }) => text).join('\n\n'))
}

/** @param explanation undefined without `--explain` */
function viewOf(
  context: CliContext,
  summary: NotificationSummary,
  timeline: readonly StoredEvent[],
  explanation: { dead: readonly DeadLetterEntry[]; waiting: Waiting } | undefined,
) {
  const { dead = [], waiting } = explanation ?? {}
  const shown = {
    ...summary,
    timeline,
    ...(explanation && {
      dead_letters: dead.map((entry) => ({ id: entry.id, reason: entry.reason, error: entry.error })),
      waiting,
    }),
  }
  const text = [
    ...describeSummary(summary, explanation !== undefined),
    '',
    drawTimeline(context, timeline),
    ...describeDeadLetters(context, dead),
    ...describeWaiting(waiting).flatMap((line) => ['', line]),
  ]
  return { shown, text: text.join('\n') }
}

const nameDeadLetters = (dead: readonly DeadLetterEntry[]) =>
  dead.length > 0 ? [`It has dead letters: ${dead.map((entry) => entry.id).join(', ')}.`] : []

/** Accepted and not yet stored, over all notifications: some may belong to this one. */
interface Waiting {
  /** On the main queue. */
  jobs: number
  /** In the outbox. */
  events: number
  /** Undefined when the store does not show its clients. */
  workers: number | undefined
}

async function readWaiting(context: CliContext): Promise<Waiting> {
  const store = await context.deadLetters()
  const events = await countOutboxEvents(await context.database())
  return { jobs: countJobs(await store.depth()), events, workers: await store.countWorkers() }
}

function describeWaiting(waiting: Waiting | undefined): string[] {
  if (waiting === undefined || waiting.jobs + waiting.events === 0) return []
  const { jobs, events, workers } = waiting
  const parts = [
    ...(jobs > 0 ? [`${formatCount(jobs)} ${jobs === 1 ? 'job' : 'jobs'} on the queue`] : []),
    ...(events > 0 ? [`${formatCount(events)} ${events === 1 ? 'event' : 'events'} in the outbox`] : []),
  ]
  const why = workers === 0 ? ' No worker is connected: see tidings doctor.' : ''
  return [`Not stored yet: ${parts.join(' and ')}, which may hold events of this notification.${why}`]
}

async function findDeadLetters(context: CliContext, filter: DeadLetterFilter): Promise<DeadLetterEntry[]> {
  const matches = createMatcher(filter)
  const found: DeadLetterEntry[] = []
  for await (const page of scanDeadLetters(await context.deadLetters(), { pageSize: SCAN_PAGE }))
    found.push(...page.map(({ entry }) => entry).filter(matches))
  return found
}

function describeDeadLetters(context: CliContext, dead: readonly DeadLetterEntry[]): string[] {
  const mask = createMask(context)
  return dead.flatMap((entry) => [
    '',
    printable(`Dead letter: ${entry.id}  ${entry.reason}  ${mask(entry.error.message)}`),
  ])
}
