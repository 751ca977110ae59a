import {
  type DeadLetterEntry,
  eventFields,
  isEventObject,
  SCAN_PAGE,
} from '@tidings/queue/dead-letters/entry'
import { scanDeadLetters } from '@tidings/queue/dead-letters/scan'
import { createAddressFinder } from '@tidings/shared/email-mentions'
import type { CliContext } from '../../context.ts'
import { createMask } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { printable } from '../../terminal/table.ts'
import { heading, type Section } from './sections.ts'
import { keyText, type Subject } from './subject.ts'

/** Newest dead letters shown. */
const MAX_DEAD_LETTERS = 20

/** The dead letters of everything that was found, and those that mention the address. Reads the queue. */
export async function deadLettersSection(context: CliContext, subject: Subject): Promise<Section> {
  const matches = createSubjectMatcher(subject)
  const found: DeadLetterEntry[] = []
  const pages = scanDeadLetters(await context.deadLetters(), { pageSize: SCAN_PAGE, newestFirst: true })
  for await (const page of pages) {
    found.push(...page.map(({ entry }) => entry).filter(matches))
    if (found.length > MAX_DEAD_LETTERS) break
  }
  const shown = found.slice(0, MAX_DEAD_LETTERS)
  const mask = createMask(context)
  const lines = shown.map(({ id, reason, error, dead_at }) =>
    printable(`${id}  ${reason}  ${formatAge(dead_at)} ago  ${mask(error.message)}`),
  )
  return {
    name: 'dead_letters',
    items: shown.map(({ id, reason, error, dead_at, redrives }) => ({
      id,
      reason,
      error,
      dead_at,
      redrives,
    })),
    texts: shown.length === 0 ? [] : [[heading(context, 'Dead letters, newest first'), ...lines].join('\n')],
    hasMore: found.length > shown.length,
  }
}

function createSubjectMatcher(subject: Subject): (entry: DeadLetterEntry) => boolean {
  const { text, eventId, recipients } = subject
  const userIds = new Set([text.toLowerCase(), ...subject.users.map(({ id }) => id)])
  const keys = new Set(subject.keys.map(keyText))
  const mentions = text.includes('@') ? createAddressFinder(text) : () => false
  return (entry) => {
    const { event } = entry
    const { id, userId, notificationId, type } = eventFields(event)
    const { provider_message_id: messageId, recipient_digest: digest } = isEventObject(event) ? event : {}
    return (
      entry.id === text ||
      (eventId !== undefined && id?.toLowerCase() === eventId) ||
      (userId !== undefined && userIds.has(userId.toLowerCase())) ||
      // The event of a dead letter may lack its type.
      notificationId === text ||
      (notificationId !== undefined && keys.has(`${type} ${notificationId}`)) ||
      messageId === text ||
      (typeof digest === 'string' && recipients.includes(digest)) ||
      mentions(JSON.stringify(event)?.toLowerCase() ?? '')
    )
  }
}
