import type { QueuedEvent } from '../contract/event.ts'
import { insertEvent, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { openBoss, QUEUE } from './queue.ts'

const pool = openPool()
const boss = await openBoss()
// Fetching many at once, by several pollers that go on while batches come back full, is what pg-boss offers
// for throughput.
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
