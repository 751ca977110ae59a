import { findRecipientsOf } from '@tidings/db/events/recipients-of-notifications'
import { findSuppressionsOf, type Suppression } from '@tidings/db/suppressions/suppressions'
import { digestRecipient } from '@tidings/shared/recipient'
import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import type { CliContext } from '../../context.ts'
import { createMask } from '../../mask-output.ts'
import { printable } from '../../terminal/table.ts'
import { heading, type Section } from './sections.ts'
import type { Subject } from './subject.ts'

/** Why the address or the token, those of the users, and those of the notifications, are or were not sent to. */
export async function suppressionsSection(context: CliContext, subject: Subject): Promise<Section> {
  const { RECIPIENT_KEY } = context.env()
  const db = await context.database()
  const users = [...subject.users, ...subject.owners]
  const recipients = {
    email: users.map(({ email }) => email),
    push: users.flatMap(({ devices }) => devices.map(({ token }) => token)),
  }
  const reported = await findRecipientsOf(
    db,
    subject.notifications.map(({ summary }) => summary),
  )
  const found = await findSuppressionsOf(
    db,
    NOTIFICATION_TYPES.map((channel) => ({
      channel,
      digests: [
        ...[subject.text, ...recipients[channel]].map((recipient) =>
          digestRecipient(RECIPIENT_KEY, channel, recipient),
        ),
        ...reported.filter((recipient) => recipient.channel === channel).map(({ digest }) => digest),
      ],
    })),
  )
  const mask = createMask(context)
  const lines = found.map((suppression) => printable(describe(suppression, mask)))
  return {
    name: 'suppressions',
    items: found,
    texts: found.length === 0 ? [] : [[heading(context, 'Suppressions, newest first'), ...lines].join('\n')],
    hasMore: false,
  }
}

function describe(
  { channel, reason, category, origin, since, until, note }: Suppression,
  mask: (text: string) => string,
): string {
  const end = until === null ? 'until it is lifted' : `until ${until.toISOString()}`
  return [
    `${reason}  ${channel}  ${category ?? 'every category'}  since ${since.toISOString()} ${end}`,
    `by ${mask(origin)}${note === null ? '' : `: ${mask(note)}`}`,
  ].join('  ')
}
