import type { StoredEvent } from '@tidings/db/events/notifications'
import { searchEvents } from '@tidings/db/events/search-events'
import type { UserRow } from '@tidings/db/users/users'
import { findUndeliverableReasons } from '@tidings/shared/deliverability'
import type { CliContext } from '../../context.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
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
const MAX_EVENTS = 10
/** Newest events shown of a notification. */
const MAX_TIMELINE_SHOWN = 50

/** The users, each with their last events. */
export async function usersSection(context: CliContext, { users }: Subject): Promise<Section> {
  const db = await context.database()
  const found = await Promise.all(
    users.map(async (user) => {
      const events = await searchEvents(db, { userId: user.id }, { limit: MAX_EVENTS })
      return { json: { ...toUserJson(user), events }, text: describeUser(context, user, events) }
    }),
  )
  return {
    name: 'users',
    items: found.map(({ json }) => json),
    texts: found.map(({ text }) => text),
    hasMore: false,
  }
}

function toUserJson(user: UserRow) {
  const preferences = { email: user.emailNotifications, push: user.pushNotifications }
  const reasons = findUndeliverableReasons({
    ...{ isActive: user.isActive, preferences, hasPushToken: user.devices.length > 0 },
  })
  return {
    id: user.id,
    email: user.email,
    email_verified_at: user.emailVerifiedAt?.toISOString() ?? null,
    name: user.name,
    active: user.isActive,
    push_token: user.devices[0]?.token ?? null,
    preferences,
    deliverable: { email: reasons.email === null, push: reasons.push === null },
    reasons,
    last_login_at: user.lastLoginAt?.toISOString() ?? null,
    created_at: user.createdAt.toISOString(),
    updated_at: user.updatedAt.toISOString(),
  }
}

function describeUser(context: CliContext, row: UserRow, events: readonly StoredEvent[]): string {
  const user = toShown(context.globals, toUserJson(row))
  const when = (iso: string | null) => (iso === null ? 'never' : `${iso}  ${formatAge(iso)} ago`)
  const reach = (reason: string | null) => (reason === null ? 'deliverable' : `not deliverable: ${reason}`)
  const rows: [string, string][] = [
    ['Address', `${user.email}, ${user.email_verified_at === null ? 'not verified' : 'verified'}`],
    ['Name', user.name],
    ['Active', user.active ? 'yes' : 'no'],
    ['E-mail', reach(user.reasons.email)],
    ['Push', reach(user.reasons.push)],
    ['Last login', when(user.last_login_at)],
    ['Registered', when(user.created_at)],
  ]
  return [
    heading(context, `User ${user.id}`),
    ...rows.map(([name, value]) => `${name.padEnd(13)} ${printable(value)}`),
    events.length === 0
      ? 'No event of this user is stored.'
      : `Last events, newest first\n${drawEventList(context, events)}`,
  ].join('\n')
}

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
