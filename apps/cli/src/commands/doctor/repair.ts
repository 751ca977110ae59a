import type { DamagedDeadLetter } from '@tidings/queue/dead-letters/damage'
import { withAudit } from '../../audit.ts'
import { askToGoOn } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { entries } from '../../terminal/format.ts'
import { writeList } from '../../terminal/output.ts'
import { DAMAGES } from './checks.ts'

/** What a repair did to each kind of damage. */
const ACTIONS: Readonly<Record<DamagedDeadLetter['damage'], string>> = {
  no_content: 'removed: the event is lost',
  no_place: 'put back into the list',
  other_type: 'left: another program wrote this key',
}

/**
 * Mends the damaged dead letters, and lists what it did.
 *
 * @throws CliError `partial` when a key of another type is in the way.
 */
export async function repairDeadLetters(context: CliContext, asks: boolean): Promise<void> {
  context.assertWritable()
  const { terminal } = context
  const store = await context.deadLetters()
  const damaged = await store.findDamage()
  if (damaged.length === 0) return terminal.say('No dead letter is damaged.')
  for (const [damage, letters] of Map.groupBy(damaged, (letter) => letter.damage))
    terminal.say(`${entries(letters.length)} ${DAMAGES[damage]}`)
  if (asks) await askToGoOn(context, 'Mend them?')
  let mended: DamagedDeadLetter[] = []
  await withAudit(context, { action: 'doctor.repair', selector: {} }, async (audit) => {
    audit.matched = damaged.length
    mended = await store.mendDamage(damaged)
    audit.changed = mended.filter(({ damage }) => damage !== 'other_type').length
  })
  await writeList(context, mended, {
    columns: [
      { title: 'ID', cell: ({ id }) => id, whole: true },
      { title: 'DONE', cell: ({ damage }) => ACTIONS[damage], wraps: true },
    ],
    json: (letter) => letter,
    id: ({ id }) => id,
  })
  if (mended.some(({ damage }) => damage === 'other_type'))
    throw new CliError(EXIT.partial, 'Keys of another type are left. Delete or rename them in Redis.')
}
