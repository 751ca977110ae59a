import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { WaitTimeoutError, waitFor } from '@tidings/stack/servers/wait-for'
import { Redis } from 'ioredis'
import { z } from 'zod'
import type { StoreContents } from './ledger.ts'
import { requireRedis, type System } from './system.ts'

/** Jobs that are queued, in work or delayed. Failed jobs do not count. */
export async function countUnfinished({ queues }: Pick<System, 'queues'>): Promise<number> {
  return sum(queues.map((queue) => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized')))
}

const sum = async (counts: Promise<number>[]): Promise<number> =>
  (await Promise.all(counts)).reduce((total, count) => total + count, 0)

async function isAtRest(system: System): Promise<boolean> {
  if (
    (await countUnfinished(system)) > 0 ||
    (await sum(system.queues.map((queue) => queue.getFailedCount()))) > 0
  )
    return false
  const { rows } = await system.db.pool.query('SELECT 1 FROM event_outbox LIMIT 1')
  return rows.length === 0
}

/**
 * Waits until no job and no outbox event is left. Stop the load before: a queue under load is empty by chance only.
 *
 * @returns milliseconds that it took, or undefined after `timeoutMs`.
 */
export async function waitForRest(system: System, timeoutMs: number): Promise<number | undefined> {
  const startedAt = performance.now()
  try {
    await waitFor('the pipeline to come to rest', () => isAtRest(system), { timeoutMs, intervalMs: 100 })
    return performance.now() - startedAt
  } catch (error) {
    if (error instanceof WaitTimeoutError) return undefined
    throw error
  }
}

/** Source of a provider's events that name their message only. The ledger knows them by their event_id. */
export const HOOK_SOURCE = 'hook'

const deadEventSchema = z.union([
  z.object({ source: z.literal(HOOK_SOURCE), event_id: z.string() }).transform(({ event_id }) => event_id),
  z.object({ notification_id: z.string() }).transform(({ notification_id }) => notification_id),
])
const PAGE = 1_000

/** Reads all rows and all dead letters. */
export async function readStores(system: System): Promise<StoreContents> {
  const { rows } = await system.db.pool.query<{ id: string; count: string }>(
    `SELECT CASE WHEN source = $1 THEN event_id ELSE notification_id END AS id, count(*)
     FROM notification_status GROUP BY 1`,
    [HOOK_SOURCE],
  )
  const stores: StoreContents = {
    rows: new Map(rows.map((row) => [row.id, Number(row.count)])),
    deadLetters: new Map(),
  }
  for (const queue of system.deadLetterQueues) await readDeadLetters(queue, stores)
  return stores
}

async function readDeadLetters(queue: DeadLetterQueue, stores: StoreContents): Promise<void> {
  for (let start = 0; ; start += PAGE) {
    const jobs = await queue.getJobs(['prioritized', 'waiting'], start, start + PAGE - 1, true)
    for (const job of jobs) {
      const event = deadEventSchema.safeParse(job.data.event)
      const id = event.success ? event.data : (job.id ?? 'unreadable')
      const entry = { reason: job.data.reason, attempts: job.data.attempts }
      stores.deadLetters.set(id, [...(stores.deadLetters.get(id) ?? []), entry])
    }
    if (jobs.length < PAGE) return
  }
}

/** Counts the jobs that BullMQ took from a dead worker, from its event stream. */
export async function countStalled(system: System): Promise<number> {
  const redis = new Redis(requireRedis(system.servers).url)
  try {
    const entries = await redis.xrange(system.queue.toKey('events'), '-', '+')
    return entries.filter(([, fields]) => fields.includes('stalled')).length
  } finally {
    redis.disconnect()
  }
}
