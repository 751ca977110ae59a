import { setTimeout as sleep } from 'node:timers/promises'
import { eraseUser } from '@tidings/accounts/erase-user'
import { listLiveMessages } from '@tidings/db/users/outbound-messages'
import { queueBackendOf } from '@tidings/queue/backend'
import { redactUsers } from '@tidings/queue/dead-letters/redact-users'
import { removeMessages, withOutboundQueue } from '@tidings/queue/outbound-queue'
import { withAudit } from '../../audit.ts'
import { askForAddress, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { formatDuration } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'
import { noUser, requireUser } from './find-user.ts'
import { sayUser } from './say-user.ts'
import { tellApis } from './tell-apis.ts'

/** The work on the queue fails with the error. */
const ignore = () => {}

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
  const store = await context.allDeadLetters()
  if (!yes) assertCanAsk(context)
  sayUser(context, user, 'Erase for good')
  if (!yes) await askForAddress(context, 'This cannot be undone. Type the address of the user.', user.email)
  await withAudit(context, { action: 'users.erase', selector: { user_id: user.id } }, async (audit) => {
    audit.matched = 1
    const signal = context.interruption()
    const db = await context.database()
    const messages = await listLiveMessages(db, user.id)
    const eraseElsewhere = async () => {
      await redactUsers(store, [user])
      if (messages.length === 0) return
      await withOutboundQueue(queueBackendOf(context.env()), ignore, (queue) =>
        removeMessages(queue, messages),
      )
    }
    const sources = { db, eraseElsewhere, recipientKey: context.env().RECIPIENT_KEY }
    const done = await eraseUser(sources, user.id)
    if (done === undefined) throw noUser(given)
    audit.changed = 1
    // The queues do not depend on it: the failure is reported at the end.
    const untold: unknown = await tellApis(context, user.id, done.endedSessionIds).catch((error) => error)
    await writeResult(context, { id: user.id })
    terminal.say('Erased.')
    if (settle > 0) {
      terminal.say(
        `The queues are searched again in ${formatDuration(settle)}: the worker may be writing to them.`,
      )
      await sleep(settle, undefined, { signal }).catch(() => undefined)
    }
    if (signal.aborted) {
      audit.result = 'interrupted'
      throw new CliError(
        EXIT.partial,
        'Interrupted. The account is erased. What the worker wrote in the last seconds may still mention the address.',
      )
    }
    await eraseElsewhere()
    if (untold !== undefined) throw untold
  })
}
