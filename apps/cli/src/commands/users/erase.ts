import { setTimeout as sleep } from 'node:timers/promises'
import { eraseUser } from '@tidings/accounts/erase-user'
import { redactUsers } from '@tidings/queue/dead-letters/redact-users'
import { withAudit } from '../../audit.ts'
import { askForAddress, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { formatDuration } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'
import { noUser, requireUser } from './find-user.ts'
import { sayUser } from './say-user.ts'
import { tellApis } from './tell-apis.ts'

export interface EraseOptions {
  /** Milliseconds. */
  settle: number
  yes?: true
}

export async function runErase(
  context: CliContext,
  given: string,
  { settle, yes }: EraseOptions,
): Promise<void> {
  const { terminal } = context
  context.assertWritable()
  const user = await requireUser(context, given)
  const store = await context.deadLetters()
  if (!yes) assertCanAsk(context)
  sayUser(context, user, 'Erase for good')
  if (!yes) await askForAddress(context, 'This cannot be undone. Type the address of the user.', user.email)
  await withAudit(context, { action: 'users.erase', selector: { user_id: user.id } }, async (audit) => {
    audit.matched = 1
    const signal = context.interruption()
    const searchDeadLetters = () => redactUsers(store, [user])
    const sources = { db: await context.database(), eraseElsewhere: searchDeadLetters }
    const done = await eraseUser(sources, user.id)
    if (done === undefined) throw noUser(given)
    audit.changed = 1
    // The dead letters do not depend on it: the failure is reported at the end.
    const untold: unknown = await tellApis(context, user.id, done.endedSessionIds).catch((error) => error)
    await writeResult(context, { id: user.id })
    terminal.say('Erased.')
    if (settle > 0) {
      terminal.say(
        `The dead letters are searched again in ${formatDuration(settle)}: the worker may be burying one.`,
      )
      await sleep(settle, undefined, { signal }).catch(() => undefined)
    }
    if (signal.aborted) {
      audit.result = 'interrupted'
      throw new CliError(
        EXIT.partial,
        'Interrupted. The account is erased. A dead letter of the last seconds may still mention the address.',
      )
    }
    await searchDeadLetters()
    if (untold !== undefined) throw untold
  })
}
