import { endAllAccess } from '@tidings/db/users/change-password'
import { withAudit } from '../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { writeResult } from '../../terminal/output.ts'
import { requireUser } from './find-user.ts'
import { sayUser, sessionCount } from './say-user.ts'
import { tellApis } from './tell-apis.ts'

export async function runEndSessions(context: CliContext, given: string, yes: boolean): Promise<void> {
  context.assertWritable()
  const user = await requireUser(context, given)
  if (!yes) assertCanAsk(context)
  sayUser(context, user, 'End all sessions')
  if (!yes) await askToGoOn(context, 'The user must log in again on every device. End them?')
  await withAudit(
    context,
    { action: 'users.end-sessions', selector: { user_id: user.id } },
    async (audit) => {
      const { endedSessionIds } = await endAllAccess(await context.database(), user.id)
      const ended = endedSessionIds.length
      audit.matched = ended
      audit.changed = ended
      await tellApis(context, user.id)
      context.terminal.say(`${sessionCount(ended)} ended, and all tokens of the Django service.`)
      await writeResult(context, { id: user.id, ended_sessions: ended })
    },
  )
}
