import { Worker } from 'bullmq'
import { readContenderEnv } from '../contract/env.ts'
import type { QueuedEvent } from '../contract/event.ts'
import { insertEvent, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { openRedis, QUEUE } from './queue.ts'

const env = readContenderEnv()
const pool = openPool(env.DATABASE_URL)
// BullMQ's guide on concurrency suggests 100 to 300 for jobs that wait for I/O.
const worker = new Worker<QueuedEvent>(QUEUE, (job) => insertEvent(pool, job.data), {
  connection: openRedis(env.REDIS_URL),
  concurrency: 100,
})
worker.on('error', (error) => console.error(error))

await worker.waitUntilReady()
sayReady()
stopOnSignal(async () => {
  await worker.close()
  await pool.end()
})
