import { type AuditRecord, insertAudit } from '@tidings/db/operator-audit'
import type { CliContext } from './context.ts'
import { describeFailure } from './exit-codes.ts'

/** Writes who did what: for a change that is over in one step. */
export async function recordAudit(context: CliContext, record: Omit<AuditRecord, 'actor'>): Promise<void> {
  await insertAudit(context.database(), { ...record, actor: context.actor() })
}

/** What a change that takes a while has come to; kept up to date by the command. */
export interface RunningAudit {
  matched: number
  changed: number
  result: string
}

/**
 * Runs a change between two rows: `started`, and how it ended. A start without an end was killed. Without an
 * audit table that takes the first row, nothing is changed at all.
 */
export async function withAudit(
  context: CliContext,
  { action, selector }: { action: string; selector: Record<string, unknown> },
  change: (audit: RunningAudit) => Promise<void>,
): Promise<void> {
  const run = crypto.randomUUID()
  const audit: RunningAudit = { matched: 0, changed: 0, result: 'done' }
  const write = (record: RunningAudit) =>
    recordAudit(context, { action, selector: { run, ...selector }, ...record })
  await write({ ...audit, result: 'started' })
  try {
    await change(audit)
  } catch (error) {
    if (audit.result === 'done') audit.result = `failed: ${describeFailure(error).message ?? 'unknown'}`
    await write(audit)
    throw error
  }
  await write(audit)
}
