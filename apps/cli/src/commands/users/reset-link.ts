import { mintToken } from '@tidings/db/users/one-time-tokens'
import { OUTBOUND_LINKS, OUTBOUND_TTL_SECONDS } from '@tidings/shared/outbound-message'
import { withAudit } from '../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { writeItem } from '../../terminal/output.ts'
import { requireUser } from './find-user.ts'
import { sayUser } from './say-user.ts'

/** The longest lifetime of a link, in milliseconds. */
export const MAX_LINK_MS = OUTBOUND_TTL_SECONDS.password_reset * 1_000

export interface ResetLinkOptions {
  /** Milliseconds. */
  expiresIn: number
  yes?: true
}

export async function runResetLink(
  context: CliContext,
  given: string,
  { expiresIn, yes }: ResetLinkOptions,
): Promise<void> {
  context.assertWritable()
  if (expiresIn < 1_000 || expiresIn > MAX_LINK_MS) throw usageError('A link lives for 1s to 1h.')
  const base = baseUrl(context)
  const user = await requireUser(context, given)
  if (!user.isActive) {
    throw new CliError(
      EXIT.failure,
      'Nothing was changed. The user is inactive and could not log in: tidings users reactivate',
    )
  }
  if (!yes) assertCanAsk(context)
  sayUser(context, user, 'Make a link')
  if (!yes) await askToGoOn(context, 'Whoever has the link can take over the account. Make it?')
  await withAudit(context, { action: 'users.reset-link', selector: { user_id: user.id } }, async (audit) => {
    audit.matched = 1
    const expiresAt = new Date(Date.now() + expiresIn)
    const grant = { userId: user.id, purpose: 'operator_reset', email: user.email, expiresAt } as const
    const token = await mintToken(await context.database(), grant)
    audit.changed = 1
    const link = `${base}${OUTBOUND_LINKS.password_reset?.path}?token=${token}`
    const shown = { id: user.id, link, expires_at: expiresAt.toISOString() }
    await writeItem(context, shown, context.globals.output === 'id' ? user.id : link)
    context.terminal.say(`It works once, until ${shown.expires_at}. It is not shown again.`)
  })
}

/** Where the page for a new password is: at the application, or at the API. */
function baseUrl(context: CliContext): string {
  const { APP_URL, API_URL } = context.env()
  const base = APP_URL ?? API_URL
  if (base === undefined)
    throw new CliError(EXIT.failure, 'Nothing was changed. Set APP_URL or API_URL: the link begins with it.')
  return base.replace(/\/+$/, '')
}
