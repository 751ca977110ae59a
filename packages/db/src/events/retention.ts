import { setTimeout as sleep } from 'node:timers/promises'
import type { NotificationType } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { sqlState } from '../failure.ts'
import { deleteInSteps } from '../walk-table.ts'
import { listPartitions, type Partition } from './partitions.ts'

/** Which events are no longer kept: those received before a time, or only those of a type or a source. */
export interface RetentionRule {
  before: Date
  type?: NotificationType | undefined
  source?: string | undefined
}

/** What happens to one partition: it is dropped whole, or some of its rows are deleted. */
export interface RetentionStep {
  partition: string
  action: 'drop' | 'delete'
  /** The rows that go. */
  rows: number
  /** The size of a partition that is dropped. Deleted rows free no space at once. */
  bytes: number
}

/** A step that was done. `busy`: a transaction held the table all the time, so the partition is still there. */
export type RetentionResult = RetentionStep & { ms: number; outcome: 'done' | 'busy' | 'interrupted' }

/** How long a drop may wait for other transactions, while new ones wait behind it. */
const LOCK_LIMIT = '200ms'
const LOCK_NOT_AVAILABLE = '55P03'
/** A drop is tried for about half a minute. */
const DROP_ATTEMPTS = 40
const DROP_PAUSE_MS = 500

/** Lists the partitions that hold events to remove, the oldest first. Counts them exactly. */
export async function planRetention(db: Database, rule: RetentionRule): Promise<RetentionStep[]> {
  const steps: RetentionStep[] = []
  for (const partition of await listPartitions(db.pool)) {
    if (partition.from !== null && partition.from >= rule.before) continue
    const step = await planPartition(db, partition, rule)
    if (step.action === 'drop' || step.rows > 0) steps.push(step)
  }
  return steps
}

async function planPartition(
  db: Database,
  partition: Partition,
  rule: RetentionRule,
): Promise<RetentionStep> {
  const { name, to } = partition
  const isWhole = to !== null && to <= rule.before && rule.type === undefined && rule.source === undefined
  const { condition, values } = toCondition(rule)
  const { rows } = await db.pool.query<{ rows: string; bytes: string }>(
    `SELECT count(*) AS rows, pg_total_relation_size(to_regclass('${name}')) AS bytes FROM ONLY ${name} WHERE ${condition}`,
    values,
  )
  return {
    partition: name,
    action: isWhole ? 'drop' : 'delete',
    rows: Number(rows[0]?.rows ?? 0),
    bytes: isWhole ? Number(rows[0]?.bytes ?? 0) : 0,
  }
}

function toCondition({ before, type, source }: RetentionRule) {
  const filters = [
    { sql: 'received_at <', value: before },
    { sql: 'notification_type =', value: type },
    { sql: 'source =', value: source },
  ].filter(({ value }) => value !== undefined)
  return {
    condition: filters.map(({ sql }, index) => `${sql} $${index + 1}`).join(' AND '),
    values: filters.map(({ value }) => value),
  }
}

export interface RetentionRun {
  signal?: AbortSignal | undefined
  /** Called with the rows that went so far. */
  onProgress?(rows: number): void
}

/**
 * Does the steps of planRetention, in order. A step that cannot be done does not stop the others. Safe to interrupt and
 * to repeat, and while events are stored.
 */
export async function applyRetention(
  db: Database,
  rule: RetentionRule,
  steps: readonly RetentionStep[],
  { signal, onProgress }: RetentionRun = {},
): Promise<RetentionResult[]> {
  const results: RetentionResult[] = []
  let gone = 0
  const count = (rows: number) => {
    gone += rows
    onProgress?.(gone)
  }
  for (const step of steps) {
    if (signal?.aborted) break
    const startedAt = performance.now()
    const done =
      step.action === 'drop'
        ? await dropPartition(db, step, signal)
        : await deleteRows(db, step, rule, signal, count)
    if (step.action === 'drop') count(done.rows)
    results.push({ ...step, ...done, ms: Math.round(performance.now() - startedAt) })
  }
  return results
}

type Done = Pick<RetentionResult, 'rows' | 'outcome'>

async function deleteRows(
  db: Database,
  { partition }: RetentionStep,
  rule: RetentionRule,
  signal: AbortSignal | undefined,
  onStep: (rows: number) => void,
): Promise<Done> {
  const rows = await deleteInSteps(db, partition, { ...toCondition(rule), signal, onStep })
  return { rows, outcome: signal?.aborted ? 'interrupted' : 'done' }
}

/**
 * DROP needs the whole table for a moment. It gives up after a fraction of a second and tries again, so that nobody
 * waits long behind it. DETACH CONCURRENTLY would not wait, but PostgreSQL refuses it beside a default partition.
 */
async function dropPartition(
  db: Database,
  { partition, rows }: RetentionStep,
  signal: AbortSignal | undefined,
): Promise<Done> {
  for (let attempt = 1; ; attempt++) {
    const isDropped = await tryDrop(db, partition)
    if (isDropped) return { rows, outcome: 'done' }
    if (signal?.aborted) return { rows: 0, outcome: 'interrupted' }
    if (attempt === DROP_ATTEMPTS) return { rows: 0, outcome: 'busy' }
    await sleep(DROP_PAUSE_MS, undefined, signal ? { signal } : {}).catch(() => undefined)
  }
}

async function tryDrop(db: Database, partition: string): Promise<boolean> {
  const client = await db.pool.connect()
  let failure: Error | undefined
  try {
    await client.query(
      `BEGIN; SET LOCAL lock_timeout = '${LOCK_LIMIT}'; DROP TABLE IF EXISTS ${partition}; COMMIT`,
    )
    return true
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return false
    throw error
  } finally {
    // After an error the connection is destroyed, which also rolls the transaction back.
    client.release(failure)
  }
}
