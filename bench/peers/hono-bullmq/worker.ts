import { Worker } from 'bullmq'
import type { QueuedEvent } from '../contract/event.ts'
import { insertEvent, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { openRedis, QUEUE } from './queue.ts'

const pool = openPool()
// BullMQ's guide suggests a concurrency of 100 to 300 for work that waits for I/O.
const worker = new Worker<QueuedEvent>(QUEUE, (job) => insertEvent(pool, job.data), {
  connection: openRedis(),
  concurrency: 100,
})
worker.on('error', (error) => console.error(error))

await worker.waitUntilReady()
sayReady()
stopOnSignal(async () => {
  await worker.close()
  await pool.end()
})
