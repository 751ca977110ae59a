import { readContenderEnv } from '../contract/env.ts'
import type { QueuedEvent } from '../contract/event.ts'
import { insertEvent, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { openBoss, QUEUE } from './queue.ts'

const env = readContenderEnv()
const pool = openPool(env.DATABASE_URL)
const boss = await openBoss(env.DATABASE_URL)
// pg-boss's options for throughput: large batches, several pollers, no pause while batches come back full.
await boss.work<QueuedEvent>(
  QUEUE,
  { batchSize: 100, localConcurrency: 4, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
  async (jobs) => {
    await Promise.all(jobs.map((job) => insertEvent(pool, job.data)))
  },
)
sayReady()
stopOnSignal(async () => {
  await boss.stop({ graceful: false })
  await pool.end()
})
