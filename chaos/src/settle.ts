import { WaitTimeoutError, waitFor } from '@tidings/stack/servers/wait-for'
import { Redis } from 'ioredis'
import { z } from 'zod'
import type { Found } from './ledger.ts'
import { requireRedis, type System } from './world.ts'

/** True when nothing is under way: no job in any state but dead letters, nothing parked. */
export async function isAtRest(world: System): Promise<boolean> {
  const counts = await world.queue.getJobCounts('waiting', 'active', 'delayed', 'failed', 'prioritized')
  if (Object.values(counts).some((jobs) => jobs > 0)) return false
  const { rows } = await world.db.pool.query<{ count: string }>('SELECT count(*) FROM event_outbox')
  return rows[0]?.count === '0'
}

/** Waits for rest. @returns milliseconds it took, or undefined when it did not come. */
export async function untilRest(world: System, timeoutMs: number): Promise<number | undefined> {
  const startedAt = performance.now()
  try {
    await waitFor('the pipeline to come to rest', () => isAtRest(world), { timeoutMs, intervalMs: 100 })
    return performance.now() - startedAt
  } catch (error) {
    if (error instanceof WaitTimeoutError) return undefined
    throw error
  }
}

const deadEventSchema = z.object({ notification_id: z.string() })
const PAGE = 1_000

/** Reads both stores whole. */
export async function readStores(world: System): Promise<Found> {
  const { rows } = await world.db.pool.query<{ notification_id: string; count: string }>(
    'SELECT notification_id, count(*) FROM notification_status GROUP BY notification_id',
  )
  const found: Found = {
    rows: new Map(rows.map((row) => [row.notification_id, Number(row.count)])),
    dead: new Map(),
  }
  for (let start = 0; ; start += PAGE) {
    const jobs = await world.deadLetters.getJobs(['prioritized', 'waiting'], start, start + PAGE - 1, true)
    for (const job of jobs) {
      const event = deadEventSchema.safeParse(job.data.event)
      const id = event.success ? event.data.notification_id : (job.id ?? 'unreadable')
      const entry = { reason: job.data.reason, attempts: job.data.attempts }
      found.dead.set(id, [...(found.dead.get(id) ?? []), entry])
    }
    if (jobs.length < PAGE) return found
  }
}

/** Times that a job was taken over from a dead worker, from BullMQ's own event stream. */
export async function countStalled(world: System): Promise<number> {
  const redis = new Redis(requireRedis(world.servers).url)
  try {
    const entries = await redis.xrange(world.queue.toKey('events'), '-', '+')
    return entries.filter(([, fields]) => fields.includes('stalled')).length
  } finally {
    redis.disconnect()
  }
}
