import { createDeliverability } from '@tidings/accounts/deliverability'
import type { StoredEvent } from '@tidings/db/events/notifications'
import { searchEvents } from '@tidings/db/events/search-events'
import type { UserRow } from '@tidings/db/users/users'
import type { Deliverability } from '@tidings/shared/user'
import type { CliContext } from '../../context.ts'
import { toShown } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { printable } from '../../terminal/table.ts'
import { drawEventList } from '../status/draw-notification.ts'
import { toAskedUser } from '../users/asked-user.ts'
import { toUserJson } from '../users/find.ts'
import { heading, MAX_EVENTS, type Section } from './sections.ts'
import type { Subject } from './subject.ts'

/** The users, also those of the notifications, each with whether messages reach them, and their last events. */
export async function usersSection(context: CliContext, subject: Subject): Promise<Section> {
  const users = [...subject.users, ...subject.owners]
  const db = await context.database()
  const ask = createDeliverability({ db, recipientKey: context.env().RECIPIENT_KEY })
  const answers = await ask(users.map(toAskedUser))
  const found = await Promise.all(
    answers.map(async ({ user_id: userId, deliverable, reasons }, index) => {
      const events = await searchEvents(db, { userId }, { limit: MAX_EVENTS })
      const json = { ...toShownUser(users[index] as UserRow), deliverable, reasons }
      return { json: { ...json, events }, text: describeUser(context, json, events) }
    }),
  )
  return {
    name: 'users',
    items: found.map(({ json }) => json),
    texts: found.map(({ text }) => text),
    hasMore: false,
  }
}

const toShownUser = (user: UserRow) => ({
  ...toUserJson(user),
  push_token: user.devices[0]?.token ?? null,
})

function describeUser(
  context: CliContext,
  item: ReturnType<typeof toShownUser> & Pick<Deliverability, 'reasons'>,
  events: readonly StoredEvent[],
): string {
  const user = toShown(context.globals, item)
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
