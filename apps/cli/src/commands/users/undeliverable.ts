import { type AskDeliverability, createDeliverability } from '@tidings/accounts/deliverability'
import { listUsers, type UserPosition, type UserRow } from '@tidings/db/users/users'
import type { NotificationType } from '@tidings/shared/status-event'
import type { UndeliverableReason } from '@tidings/shared/user'
import type { CliContext } from '../../context.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { type ListView, writeList } from '../../terminal/output.ts'
import { toAskedUser } from './asked-user.ts'

export interface UndeliverableOptions {
  channel: NotificationType
  /** Empty: every reason. */
  reason?: UndeliverableReason[]
  limit: number
}

interface UndeliverableUser {
  user: UserRow
  reason: UndeliverableReason
}

const PAGE_USERS = 500

/** Lists the users whom a channel does not reach, and why. Asks about all users, as a sender does. */
export async function runUndeliverable(context: CliContext, options: UndeliverableOptions): Promise<void> {
  const db = await context.database()
  const ask = createDeliverability({ db, recipientKey: context.env().RECIPIENT_KEY })
  const found: UndeliverableUser[] = []
  let after: UserPosition | undefined
  do {
    const page = await listUsers(db, { limit: PAGE_USERS, after })
    found.push(...(await selectUndeliverable(page, options, ask)))
    after = page.length < PAGE_USERS ? undefined : page.at(-1)
  } while (after !== undefined && found.length <= options.limit)
  await writeList(context, found.slice(0, options.limit), viewOf(context))
  const { terminal, globals } = context
  if (found.length > options.limit) terminal.say(`There are more than ${options.limit}. Add --limit.`)
  else if (found.length === 0 && globals.output === undefined) terminal.say('Every user can be reached.')
}

async function selectUndeliverable(
  users: readonly UserRow[],
  { channel, reason: wanted = [] }: UndeliverableOptions,
  ask: AskDeliverability,
): Promise<UndeliverableUser[]> {
  const answers = await ask(users.map(toAskedUser))
  return users.flatMap((user, index) => {
    const reason = answers[index]?.reasons[channel] ?? null
    return reason === null || (wanted.length > 0 && !wanted.includes(reason)) ? [] : [{ user, reason }]
  })
}

function viewOf(context: CliContext): ListView<UndeliverableUser> {
  const mask = createMask(context)
  return {
    columns: [
      { title: 'ID', cell: ({ user }) => user.id, whole: true },
      { title: 'ADDRESS', cell: ({ user }) => mask(user.email), style: 'bold' },
      { title: 'REASON', cell: ({ reason }) => reason },
    ],
    json: ({ user, reason }) => toShown(context.globals, { id: user.id, email: user.email, reason }),
    id: ({ user }) => user.id,
  }
}
