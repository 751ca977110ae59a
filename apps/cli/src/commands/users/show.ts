import { listSessions } from '@tidings/db/users/sessions'
import { readStoredPassword } from '@tidings/shared/password-hash-format'
import type { CliContext } from '../../context.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { writeItem } from '../../terminal/output.ts'
import { createPaint, printable } from '../../terminal/table.ts'
import { toUserJson } from './find.ts'
import { requireUser } from './find-user.ts'
import { countWrongPasswords } from './limits.ts'

export async function runShow(context: CliContext, given: string): Promise<void> {
  const user = await requireUser(context, given)
  const db = await context.database()
  const [sessions, wrongPasswords] = await Promise.all([
    listSessions(db, user.id),
    countWrongPasswords(context, user),
  ])
  const limit = context.env().RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT
  const shown = {
    ...toUserJson(user),
    has_password: readStoredPassword(user.password).usable,
    devices: user.devices.length,
    /** Null without Redis: each API counts in its own memory. */
    wrong_passwords: wrongPasswords?.total ?? null,
    locked: wrongPasswords === undefined ? null : wrongPasswords.most >= limit,
    sessions: sessions.map((session) => ({
      id: session.id,
      ip: session.ip,
      user_agent: session.userAgent,
      created_at: session.createdAt.toISOString(),
      last_used_at: session.lastUsedAt.toISOString(),
      expires_at: session.expiresAt.toISOString(),
    })),
  }
  const { terminal, globals } = context
  await writeItem(
    context,
    toShown(globals, shown),
    globals.output === 'id' ? user.id : describeUser(shown, context),
  )
  if (wrongPasswords === undefined)
    terminal.say('Wrong passwords are counted in the memory of each API, which this command cannot read.')
}

type ShownUser = ReturnType<typeof toUserJson> & {
  has_password: boolean
  devices: number
  wrong_passwords: number | null
  locked: boolean | null
  sessions: { id: string; ip: string | null; user_agent: string | null; last_used_at: string }[]
}

function describeUser(user: ShownUser, context: CliContext): string {
  const mask = createMask(context)
  const stored = (text: string) => printable(mask(text))
  const paint = createPaint(context.terminal.colors.stdout)
  const when = (iso: string | null) => (iso === null ? 'never' : `${iso}  ${formatAge(iso)} ago`)
  const rows: [string, string][] = [
    ['User', paint('bold', user.id)],
    ['Address', `${stored(user.email)}${user.email_verified_at === null ? ', not verified' : ', verified'}`],
    ['Name', stored(user.name)],
    ['Active', user.active ? 'yes' : paint('red', 'no')],
    ['Password', user.has_password ? 'set' : 'none can be used'],
    ['Locked', describeLock(user)],
    ['Last login', when(user.last_login_at)],
    ['Registered', when(user.created_at)],
    ['Changed', when(user.updated_at)],
    [
      'Receives',
      (['email', 'push'] as const).filter((type) => user.preferences[type]).join(', ') || 'nothing',
    ],
    ['Devices', String(user.devices)],
    ['Sessions', String(user.sessions.length)],
  ]
  const sessions = user.sessions.map(
    ({ id, ip, user_agent, last_used_at }) =>
      `  ${id}  ${ip ?? '-'}  used ${formatAge(last_used_at)} ago  ${stored(user_agent ?? '-')}`,
  )
  return [...rows.map(([name, value]) => `${name.padEnd(11)} ${value}`), ...sessions].join('\n')
}

function describeLock({ locked, wrong_passwords: wrong }: ShownUser): string {
  if (locked === null) return 'unknown'
  return `${locked ? 'yes' : 'no'}, ${wrong} wrong passwords within the hour`
}
