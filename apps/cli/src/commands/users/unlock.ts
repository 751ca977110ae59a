import { publishChange } from '@tidings/accounts/cache/announce'
import { withAudit } from '../../audit.ts'
import type { CliContext } from '../../context.ts'
import { formatCount } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'
import { requireUser } from './find-user.ts'
import { lockKeys, removeCounters } from './limits.ts'

/**
 * Resets the counters of wrong passwords: in Redis, and in the memory of the running APIs, which refuse a locked account
 * without asking Redis.
 */
export async function runUnlock(context: CliContext, given: string): Promise<void> {
  context.assertWritable()
  const user = await requireUser(context, given)
  await withAudit(context, { action: 'users.unlock', selector: { user_id: user.id } }, async (audit) => {
    const keys = await lockKeys(context, user)
    const removed = await removeCounters(context, keys)
    audit.matched = removed ?? 0
    audit.changed = removed ?? 0
    await publishChange({ db: await context.database(), redis: await context.redis() }, 'limit', keys)
    context.terminal.say(
      removed === undefined
        ? 'The running APIs were told to forget the wrong passwords. Without Redis each counts in its own memory: one that does not hear of it counts until the hour is over.'
        : `Unlocked: ${formatCount(removed)} counters removed.`,
    )
    if (!user.isActive)
      context.terminal.say('The user is inactive and cannot log in: tidings users reactivate')
    await writeResult(context, { id: user.id, counters_removed: removed ?? null })
  })
}
