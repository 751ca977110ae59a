import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { readContenderEnv } from '../peers/contract/env.ts'
import { report } from './report.ts'

/** BullMQ alone: one worker runs empty jobs, all queued beforehand. */
const jobs = Number(process.argv[2])
const connection = new Redis(readContenderEnv().REDIS_URL, { maxRetriesPerRequest: null })
const queue = new Queue('noop', { connection, defaultJobOptions: { removeOnComplete: true } })
for (let added = 0; added < jobs; added += 1_000) {
  await queue.addBulk(Array.from({ length: 1_000 }, () => ({ name: 'noop', data: { id: added } })))
}

let done = 0
const finished = Promise.withResolvers<void>()
const startedMs = performance.now()
const worker = new Worker(
  'noop',
  async () => {
    if (++done === jobs) finished.resolve()
  },
  { connection: connection.duplicate(), concurrency: 100 },
)
await finished.promise
report(done, startedMs)
await worker.close()
await queue.obliterate({ force: true })
await queue.close()
connection.disconnect()
process.disconnect?.()
