import type { NotificationKey } from '@tidings/db/events/look-up-notifications'
import { readNotifications, type StoredEvent } from '@tidings/db/events/notifications'
import { findEvent, searchEvents } from '@tidings/db/events/search-events'
import {
  findUser,
  findUserByEmail,
  findUserByPushToken,
  findUsers,
  type UserRow,
} from '@tidings/db/users/users'
import { eventIdOf } from '@tidings/queue/dead-letters/entry-id'
import { type NotificationSummary, summarizeNotification } from '@tidings/shared/notification-summary'
import { digestRecipient } from '@tidings/shared/recipient'
import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { isUuid } from '@tidings/shared/uuid'
import type { CliContext } from '../../context.ts'

/** Most notifications shown. */
export const MAX_NOTIFICATIONS = 5
/** Events of one message of a provider that are read to learn its notifications. */
const MAX_MESSAGE_EVENTS = 100

export interface FoundNotification {
  summary: NotificationSummary
  /** Oldest first. */
  timeline: StoredEvent[]
}

/** What the operator's text names. */
export interface Subject {
  /** As given, without the blanks around it. */
  text: string
  /** The event that the text would be the id of, also as the id of its dead letter. In lower case. */
  eventId: string | undefined
  users: UserRow[]
  /** The other users of the notifications. */
  owners: UserRow[]
  /** All that the text names: more than are read. */
  keys: NotificationKey[]
  notifications: FoundNotification[]
  /** The digests of the text as an address and as a token. */
  recipients: string[]
}

/** Looks the text up as each kind of id. Every look-up reads an index. */
export async function findSubject(context: CliContext, text: string): Promise<Subject> {
  const db = await context.database()
  const { RECIPIENT_KEY } = context.env()
  const eventId = uuidOf(eventIdOf(text))
  const userId = uuidOf(text)
  const [event, byId, byEmail, byToken, ofMessage] = await Promise.all([
    eventId === undefined ? undefined : findEvent(db, eventId),
    userId === undefined ? undefined : findUser(db, userId),
    text.includes('@') ? findUserByEmail(db, text) : undefined,
    findUserByPushToken(db, text),
    searchEvents(db, { providerMessageId: text }, { limit: MAX_MESSAGE_EVENTS }),
  ])
  const users = [byId, byEmail, byToken].filter((user) => user !== undefined)
  const named = NOTIFICATION_TYPES.map((type) => ({ notification_id: text, notification_type: type }))
  const keys = distinctKeys([...named, ...(event ? [event] : []), ...ofMessage])
  const found = await Promise.all(
    // The first two may not exist.
    keys.slice(0, MAX_NOTIFICATIONS + named.length).map(async (key) => {
      const read = await readNotifications(db, key.notification_id, [key.notification_type])
      return read.flatMap(({ timeline, deciding }) => {
        const summary = summarizeNotification({ timeline, deciding })
        return summary ? [{ summary, timeline }] : []
      })
    }),
  )
  const notifications = found.flat()
  const ownerIds = new Set(notifications.flatMap(({ summary }) => summary.user_id ?? []))
  for (const { id } of users) ownerIds.delete(id)
  return {
    text,
    eventId,
    users: [...new Map(users.map((user) => [user.id, user])).values()],
    owners: await findUsers(db, [...ownerIds]),
    keys,
    notifications,
    recipients: NOTIFICATION_TYPES.map((type) => digestRecipient(RECIPIENT_KEY, type, text)),
  }
}

const uuidOf = (text: string) => (isUuid(text) ? text.toLowerCase() : undefined)

/** One text for a notification. */
export const keyText = (key: NotificationKey) => `${key.notification_type} ${key.notification_id}`

function distinctKeys(keys: readonly NotificationKey[]): NotificationKey[] {
  return [...new Map(keys.map((key) => [keyText(key), key])).values()]
}
