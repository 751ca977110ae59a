import { searchUsers } from '@tidings/db/users/search-users'
import { preferencesOf, type UserRow } from '@tidings/db/users/users'
import type { CliContext } from '../../context.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { type ListView, writeList } from '../../terminal/output.ts'
import type { Column } from '../../terminal/table.ts'
import { searchable } from './find-user.ts'

export async function runFind(context: CliContext, text: string, limit: number): Promise<void> {
  const found = await searchUsers(await context.database(), searchable(text), limit + 1)
  await writeList(context, found.slice(0, limit), userView(context))
  const { terminal, globals } = context
  if (found.length > limit)
    terminal.say(`More than ${limit} match. Add --limit, or search for a longer part.`)
  else if (found.length === 0 && globals.output === undefined) terminal.say('No user matches.')
}

function userView(context: CliContext): ListView<UserRow> {
  const mask = createMask(context)
  const time = (title: string, of: (user: UserRow) => Date | null): Column<UserRow> => ({
    title,
    cell: (user) => formatTime(of(user), (date) => formatAge(date.toISOString())),
    raw: (user) => formatTime(of(user), (date) => date.toISOString()),
    align: 'right',
  })
  return {
    columns: [
      { title: 'ID', cell: ({ id }) => id, whole: true },
      { title: 'ADDRESS', cell: ({ email }) => mask(email), style: 'bold' },
      { title: 'NAME', cell: ({ name }) => mask(name), spare: 5, maxWidth: 32 },
      { title: 'ACTIVE', cell: ({ isActive }) => yesNo(isActive), spare: 4 },
      { title: 'VERIFIED', cell: ({ emailVerifiedAt }) => yesNo(emailVerifiedAt !== null), spare: 1 },
      { ...time('LOGIN', ({ lastLoginAt }) => lastLoginAt), spare: 3 },
      { ...time('AGE', ({ createdAt }) => createdAt), spare: 2 },
    ],
    json: (user) => toShown(context.globals, toUserJson(user)),
    id: ({ id }) => id,
  }
}

const formatTime = (date: Date | null, format: (date: Date) => string) => (date === null ? '-' : format(date))

const yesNo = (value: boolean) => (value ? 'yes' : 'no')

/** A user as JSON, without the password. Times are ISO 8601. */
export const toUserJson = (user: UserRow) => ({
  id: user.id,
  email: user.email,
  email_verified_at: user.emailVerifiedAt?.toISOString() ?? null,
  name: user.name,
  active: user.isActive,
  preferences: preferencesOf(user),
  last_login_at: user.lastLoginAt?.toISOString() ?? null,
  created_at: user.createdAt.toISOString(),
  updated_at: user.updatedAt.toISOString(),
})
