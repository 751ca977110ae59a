import { randomUUID } from 'node:crypto'
import { AUDIT_INTENT, AUDIT_STARTED } from '@tidings/db/audit-actions'
import type { AuditRecord } from '@tidings/db/operator-audit'
import type { CliContext } from './context.ts'
import { describeFailure } from './exit-codes.ts'

/** Writes who did what: for a change that is over in one step. */
export async function recordAudit(context: CliContext, record: Omit<AuditRecord, 'actor'>): Promise<void> {
  const { insertAudit } = await import('@tidings/db/operator-audit')
  await insertAudit(await context.database(), { ...record, actor: context.actor() })
}

/** What a change that takes a while has come to; kept up to date by the command. */
export interface RunningAudit {
  matched: number
  changed: number
  result: string
  /** Writes down which entries are about to be changed, in case the process is killed in the middle. */
  announce(ids: readonly string[]): Promise<void>
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
  const run = randomUUID()
  const write = (
    extra: Record<string, unknown>,
    record: Pick<AuditRecord, 'matched' | 'changed' | 'result'>,
  ) => recordAudit(context, { action, selector: { run, ...extra }, ...record })
  const audit: RunningAudit = {
    matched: 0,
    changed: 0,
    result: 'done',
    announce: (ids) => write({ ids }, { matched: ids.length, changed: 0, result: AUDIT_INTENT }),
  }
  const writeEnd = () =>
    write(selector, { matched: audit.matched, changed: audit.changed, result: audit.result })
  await write(selector, { matched: 0, changed: 0, result: AUDIT_STARTED })
  try {
    await change(audit)
  } catch (error) {
    const { message } = describeFailure(error)
    if (message !== undefined) audit.result += `: ${message}`
    await writeEnd()
    throw error
  }
  await writeEnd()
}
