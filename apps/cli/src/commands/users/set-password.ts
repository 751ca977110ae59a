import { hashPassword } from '@tidings/accounts/passwords/new-hash'
import { requireStrongPassword } from '@tidings/accounts/passwords/password-rules'
import { setPassword } from '@tidings/db/users/change-password'
import type { UserRow } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import { passwordChangeSchema } from '@tidings/shared/user'
import { withAudit } from '../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { usageError } from '../../exit-codes.ts'
import { pipePassword, typePassword } from '../../input/read-password.ts'
import { writeResult } from '../../terminal/output.ts'
import { noUser, requireUser } from './find-user.ts'
import { sayUser, sessionCount } from './say-user.ts'
import { tellApis } from './tell-apis.ts'

export interface SetPasswordOptions {
  stdin?: true
  yes?: true
}

export async function runSetPassword(
  context: CliContext,
  given: string,
  { stdin, yes }: SetPasswordOptions,
): Promise<void> {
  context.assertWritable()
  const user = await requireUser(context, given)
  if (!yes || !stdin) assertCanAsk(context)
  sayUser(context, user, 'Set the password')
  if (!yes)
    await askToGoOn(context, 'This ends all sessions of the user, and the old password. Set a new one?')
  const password = stdin ? await pipePassword(context) : await typePassword(context)
  assertStrong(password, user)
  const hash = await hashPassword(password, context.env().PASSWORD_ITERATIONS)
  await withAudit(
    context,
    { action: 'users.set-password', selector: { user_id: user.id } },
    async (audit) => {
      audit.matched = 1
      const db = await context.database()
      const done = await db.orm.transaction((tx) => setPassword({ orm: tx }, { userId: user.id, hash }))
      if (done === undefined) throw noUser(given)
      audit.changed = 1
      await tellApis(context, user.id)
      const ended = done.endedSessionIds.length
      context.terminal.say(
        `The password is set. ${sessionCount(ended)} ended. The user gets a notice, at most one an hour.`,
      )
      if (!user.isActive)
        context.terminal.say('The user is inactive and cannot log in: tidings users reactivate')
      await writeResult(context, { id: user.id, ended_sessions: ended })
    },
  )
}

/** The rules of the API. @throws CliError `usage`. */
function assertStrong(password: string, user: UserRow): void {
  const parsed = passwordChangeSchema.shape.new_password.safeParse(password)
  if (!parsed.success) throw refused(parsed.error.issues[0]?.message)
  try {
    requireStrongPassword(password, user, 'password')
  } catch (error) {
    throw error instanceof AppError ? refused(error.fields[0]?.message) : error
  }
}

const refused = (why = 'The password is not valid.') => usageError(`Nothing was changed. ${why}`)
