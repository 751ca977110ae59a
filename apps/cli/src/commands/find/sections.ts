import { searchEvents } from '@tidings/db/events/search-events'
import type { CliContext } from '../../context.ts'
import { createMask } from '../../mask-output.ts'
import { createPaint, printable } from '../../terminal/table.ts'
import { describeSummary, drawEventList, drawTimeline } from '../status/draw-notification.ts'
import { MAX_NOTIFICATIONS, type Subject } from './subject.ts'

/** One kind of finding. */
export interface Section {
  /** Name of the array in JSON. */
  name: string
  /** As JSON, not yet masked. */
  items: readonly unknown[]
  /** For people, one text for each item or for all; masked. */
  texts: readonly string[]
  /** Whether there are more than these. */
  hasMore: boolean
}

/** Newest events shown of a user and of a recipient. */
export const MAX_EVENTS = 10
/** Newest events shown of a notification. */
const MAX_TIMELINE_SHOWN = 50

/** The notifications, each with its timeline. */
export async function notificationsSection(context: CliContext, subject: Subject): Promise<Section> {
  const shown = subject.notifications.slice(0, MAX_NOTIFICATIONS)
  return {
    name: 'notifications',
    items: shown.map(({ summary, timeline }) => ({
      ...summary,
      timeline: timeline.slice(-MAX_TIMELINE_SHOWN),
    })),
    texts: shown.map(({ summary, timeline }) => {
      const [status = '', ...details] = describeSummary(summary, true).map(createMask(context))
      const left = timeline.length - MAX_TIMELINE_SHOWN
      return [
        heading(context, `Notification ${status}`),
        ...details,
        ...(left > 0 ? [`The ${left} oldest events are left out: see tidings status.`] : []),
        drawTimeline(context, timeline.slice(-MAX_TIMELINE_SHOWN)),
      ].join('\n')
    }),
    hasMore: subject.notifications.length > shown.length,
  }
}

/** The events that went to the address or the token, without those that a user's section shows. */
export async function recipientSection(context: CliContext, subject: Subject): Promise<Section> {
  const db = await context.database()
  const found = await searchEvents(db, { recipients: subject.recipients }, { limit: MAX_EVENTS + 1 })
  const userIds = new Set(subject.users.map(({ id }) => id))
  const events = found.slice(0, MAX_EVENTS).filter(({ user_id }) => user_id === null || !userIds.has(user_id))
  const title = heading(context, 'Events to this recipient, newest first')
  return {
    name: 'recipient_events',
    items: events,
    texts: events.length === 0 ? [] : [`${title}\n${drawEventList(context, events)}`],
    hasMore: found.length > MAX_EVENTS,
  }
}

export const heading = ({ terminal }: CliContext, text: string) =>
  createPaint(terminal.colors.stdout)('bold', printable(text))
