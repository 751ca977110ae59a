import { randomUUID } from 'node:crypto'
import type { AuditRecord } from '@tidings/db/operators/audit'
import { AUDIT_INTENT, AUDIT_STARTED } from '@tidings/db/operators/audit-actions'
import type { CliContext } from './context.ts'
import { describeFailure } from './exit-codes.ts'

/** Writes who did what: for a change that is over in one step. */
export async function recordAudit(context: CliContext, record: Omit<AuditRecord, 'actor'>): Promise<void> {
  const { insertAudit } = await import('@tidings/db/operators/audit')
  await insertAudit(await context.database(), { ...record, actor: context.actor() })
}

/** What a change that takes a while has come to; kept up to date by the command. */
export interface RunningAudit {
  matched: number
  changed: number
  /** How the change ended, once everything it did is counted; what fails later does not touch the books. */
  result: string | undefined
  /**
   * Writes down which entries are about to be changed, in case it is killed or breaks in the middle. What was
   * announced before is counted in `changed` by then.
   */
  announce(ids: readonly string[]): Promise<void>
}

/**
 * Runs a change between two rows: `started`, and how it ended. A start without an end was killed. Without an
 * audit table that takes the first row, nothing is changed at all.
 *
 * A change that an error ended knows what it did before its last announcement. Nobody knows what came of that one: a
 * store may have made the change and its answer been lost. So it stays open, and the books look for themselves.
 */
export async function withAudit(
  context: CliContext,
  { action, selector }: { action: string; selector: Record<string, unknown> },
  change: (audit: RunningAudit) => Promise<void>,
): Promise<void> {
  const run = randomUUID()
  const write = (
    extra: Record<string, unknown>,
    record: Pick<AuditRecord, 'matched' | 'changed' | 'result'>,
  ) => recordAudit(context, { action, selector: { run, ...extra }, ...record })
  let last: { batch: number; changedBefore: number } | undefined
  const audit: RunningAudit = {
    matched: 0,
    changed: 0,
    result: undefined,
    announce(ids) {
      last = { batch: (last?.batch ?? 0) + 1, changedBefore: audit.changed }
      return write({ ids, batch: last.batch }, { matched: ids.length, changed: 0, result: AUDIT_INTENT })
    },
  }
  const writeEnd = (result: string) =>
    write(selector, { matched: audit.matched, changed: audit.changed, result })
  const writeBroken = (result: string) =>
    write(
      { ...selector, ...(last && { open_batch: last.batch }) },
      { matched: audit.matched, changed: last?.changedBefore ?? audit.changed, result },
    )
  // From here on a Ctrl-C is the change's to answer: the process must not end with a start only.
  context.interruption()
  await write(selector, { matched: 0, changed: 0, result: AUDIT_STARTED })
  try {
    await change(audit)
  } catch (error) {
    const { message } = describeFailure(error)
    const why = message === undefined ? '' : `: ${message}`
    await (audit.result === undefined ? writeBroken(`broken${why}`) : writeEnd(audit.result + why))
    throw error
  }
  await writeEnd(audit.result ?? 'done')
}
