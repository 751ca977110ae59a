import { deactivateUser, reactivateUser } from '@tidings/db/users/activation'
import { withAudit } from '../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { writeResult } from '../../terminal/output.ts'
import { noUser, requireUser } from './find-user.ts'
import { sayUser, sessionCount } from './say-user.ts'
import { tellApis } from './tell-apis.ts'

export async function runDeactivate(context: CliContext, given: string, yes: boolean): Promise<void> {
  context.assertWritable()
  const user = await requireUser(context, given)
  if (!yes) assertCanAsk(context)
  sayUser(context, user, 'Deactivate')
  if (!yes) await askToGoOn(context, 'The user is logged out everywhere and cannot log in. Deactivate?')
  await withAudit(context, { action: 'users.deactivate', selector: { user_id: user.id } }, async (audit) => {
    audit.matched = 1
    const done = await deactivateUser(await context.database(), user.id)
    if (done === undefined) throw noUser(given)
    audit.changed = done.wasActive ? 1 : 0
    audit.result = done.wasActive ? 'deactivated' : 'was inactive'
    await tellApis(context, user.id)
    const ended = done.endedSessionIds.length
    context.terminal.say(
      done.wasActive
        ? `Deactivated. ${sessionCount(ended)} ended. The user gets a notice, at most one an hour.`
        : 'The user was inactive already.',
    )
    await writeResult(context, { id: user.id, changed: done.wasActive, ended_sessions: ended })
  })
}

export async function runReactivate(context: CliContext, given: string): Promise<void> {
  context.assertWritable()
  const user = await requireUser(context, given)
  await withAudit(context, { action: 'users.reactivate', selector: { user_id: user.id } }, async (audit) => {
    audit.matched = 1
    const done = await reactivateUser(await context.database(), user.id)
    if (done === undefined) throw noUser(given)
    audit.changed = done.wasActive ? 0 : 1
    audit.result = done.wasActive ? 'was active' : 'reactivated'
    await tellApis(context, user.id)
    context.terminal.say(
      done.wasActive ? 'The user was active already.' : 'Reactivated. The user can log in.',
    )
    await writeResult(context, { id: user.id, changed: !done.wasActive })
  })
}
