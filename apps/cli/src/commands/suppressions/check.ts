import { type ActiveSuppression, findSuppressions } from '@tidings/db/suppressions/find-suppressions'
import type { CliContext } from '../../context.ts'
import { createMask } from '../../mask-output.ts'
import {
  type GivenRecipient,
  inBatches,
  type RecipientOptions,
  readRecipients,
} from '../../suppressions/recipients.ts'
import { openList } from '../../terminal/output.ts'

export interface CheckOptions extends RecipientOptions {
  category?: string
}

interface Checked extends GivenRecipient {
  suppression: ActiveSuppression | undefined
}

export async function runCheck(
  context: CliContext,
  argument: string | undefined,
  options: CheckOptions,
): Promise<void> {
  const { channel, category } = options
  const recipients = await readRecipients(context, argument, options)
  const db = await context.database()
  const mask = createMask(context)
  const list = openList<Checked>(context, {
    columns: [
      { title: 'RECIPIENT', cell: ({ text }) => mask(text) },
      { title: 'SUPPRESSED', cell: ({ suppression }) => (suppression ? 'yes' : 'no') },
      { title: 'REASON', cell: ({ suppression }) => suppression?.reason ?? '-', style: 'yellow' },
      { title: 'SINCE', cell: ({ suppression }) => suppression?.since.toISOString() ?? '-', spare: 1 },
      { title: 'UNTIL', cell: ({ suppression }) => suppression?.until?.toISOString() ?? '-', spare: 2 },
    ],
    json: ({ text, digest, suppression }) => ({
      recipient: mask(text),
      digest,
      suppressed: suppression !== undefined,
      reason: suppression?.reason ?? null,
      since: suppression?.since ?? null,
      until: suppression?.until ?? null,
    }),
    id: ({ digest }) => digest,
  })
  for (const batch of inBatches(recipients)) {
    const found = await findSuppressions(
      db,
      batch.map(({ digest }) => ({ channel, digest })),
      category,
    )
    await list.write(batch.map((recipient, index) => ({ ...recipient, suppression: found[index]?.[0] })))
  }
  await list.end()
}
