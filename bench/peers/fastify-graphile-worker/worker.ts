import { run } from 'graphile-worker'
import { readContenderEnv } from '../contract/env.ts'
import type { QueuedEvent } from '../contract/event.ts'
import { insertEvent, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'

const env = readContenderEnv()
const pool = openPool(env.DATABASE_URL)
// Settings of graphile-worker's performance page: https://worker.graphile.org/docs/performance
const runner = await run({
  preset: {
    worker: {
      connectionString: env.DATABASE_URL,
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  taskList: { store: (event) => insertEvent(pool, event as QueuedEvent) },
})
sayReady()
stopOnSignal(async () => {
  await runner.stop()
  await pool.end()
})
