import { randomUUID } from 'node:crypto'
import type { AuditRecord } from '@tidings/db/operators/audit'
import { AUDIT_STARTED } from '@tidings/db/operators/audit-actions'
import type { CliContext } from './context.ts'
import { describeFailure } from './exit-codes.ts'

/** Writes one row of the audit table, for a change of one step. */
export async function recordAudit(context: CliContext, record: Omit<AuditRecord, 'actor'>): Promise<void> {
  const { insertAudit } = await import('@tidings/db/operators/audit')
  await insertAudit(await context.database(), { ...record, actor: context.actor() })
}

/** The progress of a longer change. The command keeps it up to date. */
export interface RunningAudit {
  matched: number
  changed: number
  /** How the change ended. The command sets it after it has counted all its changes. */
  result: string | undefined
}

/**
 * Runs a change between two rows of the audit table: `started`, and how it ended. A first row without a second one
 * means that the command was killed. If the first row cannot be written, nothing is changed.
 */
export async function withAudit(
  context: CliContext,
  { action, selector }: { action: string; selector: Record<string, unknown> },
  change: (audit: RunningAudit) => Promise<void>,
): Promise<void> {
  const run = randomUUID()
  const write = (record: Pick<AuditRecord, 'matched' | 'changed' | 'result'>) =>
    recordAudit(context, { action, selector: { run, ...selector }, ...record })
  const audit: RunningAudit = { matched: 0, changed: 0, result: undefined }
  const writeEnd = (result: string) => write({ matched: audit.matched, changed: audit.changed, result })
  // From here on Ctrl-C interrupts the change instead of the process, so that the second row is written.
  context.interruption()
  await write({ matched: 0, changed: 0, result: AUDIT_STARTED })
  try {
    await change(audit)
  } catch (error) {
    const { message } = describeFailure(error)
    const why = message === undefined ? '' : `: ${message}`
    await writeEnd((audit.result ?? 'broken') + why)
    throw error
  }
  await writeEnd(audit.result ?? 'done')
}
