import { addAuditedSuppressions, liftSuppressions } from '@tidings/db/suppressions/suppressions'
import type { SuppressionReason } from '@tidings/shared/suppression'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import {
  inBatches,
  type RecipientOptions,
  readRecipients,
  recipientCount,
} from '../../suppressions/recipients.ts'
import { formatCount } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'

interface ChangeOptions extends RecipientOptions {
  category?: string
  note?: string
  yes?: true
}

export interface AddOptions extends ChangeOptions {
  reason: SuppressionReason
  until?: Date
}

export interface LiftOptions extends ChangeOptions {
  reason?: SuppressionReason
}

/** Reads the recipients, and asks before the first change. */
async function prepare(
  context: CliContext,
  argument: string | undefined,
  options: ChangeOptions,
  question: (recipients: string) => string,
): Promise<string[]> {
  context.assertWritable()
  if (!options.yes) assertCanAsk(context)
  const recipients = await readRecipients(context, argument, options)
  const digests = [...new Set(recipients.map(({ digest }) => digest))]
  if (!options.yes) await askToGoOn(context, question(recipientCount(digests.length)))
  return digests
}

export async function runAdd(
  context: CliContext,
  argument: string | undefined,
  options: AddOptions,
): Promise<void> {
  const { channel, reason, category = null, note = null, until = null } = options
  const all = await prepare(context, argument, options, (who) => `Suppress ${who} for ${channel}?`)
  const db = await context.database()
  const actor = context.actor()
  let added = 0
  for (const digests of inBatches(all)) {
    const { changed } = await addAuditedSuppressions(
      db,
      { channel, digests, reason, category },
      { origin: actor, since: new Date(), until, note },
      { actor, action: 'suppressions.add' },
    )
    added += changed
  }
  const present = all.length - added
  context.terminal.say(
    `Suppressed ${recipientCount(added)}${present > 0 ? `; ${formatCount(present)} already there` : ''}.`,
  )
  await writeResult(context, { added, present })
}

export async function runLift(
  context: CliContext,
  argument: string | undefined,
  options: LiftOptions,
): Promise<void> {
  const { channel, reason, category, note } = options
  const all = await prepare(context, argument, options, (who) => `Send ${channel} to ${who} again?`)
  const db = await context.database()
  let lifted = 0
  for (const digests of inBatches(all)) {
    const result = await liftSuppressions(db, { channel, digests, reason, category }, note, {
      actor: context.actor(),
      action: 'suppressions.lift',
    })
    if (result.outcome === 'note_required')
      throw new CliError(
        lifted === 0 ? EXIT.usage : EXIT.partial,
        `One of them is a complaint: say why it is lifted with --note. ${lifted === 0 ? 'Nothing' : `Only ${lifted}`} was lifted.`,
      )
    if (result.outcome === 'lifted') lifted += result.suppressions.length
  }
  context.terminal.say(`Lifted ${formatCount(lifted)} ${lifted === 1 ? 'suppression' : 'suppressions'}.`)
  await writeResult(context, { lifted })
  if (lifted === 0) throw new CliError(EXIT.notFound, 'None of them is suppressed.')
}
