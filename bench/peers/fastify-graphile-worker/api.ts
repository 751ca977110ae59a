import { makeWorkerUtils } from 'graphile-worker'
import { readContenderEnv } from '../contract/env.ts'
import { createFastifyApp } from '../contract/fastify-app.ts'
import { openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'

const env = readContenderEnv()
const pool = openPool(env.DATABASE_URL)
const utils = await makeWorkerUtils({ pgPool: pool })
await utils.migrate()
const app = await createFastifyApp(env.API_KEY, {
  async takeOne(event) {
    await utils.addJob('store', event, { maxAttempts: 4 })
  },
  async takeMany(events) {
    await utils.addJobs(events.map((event) => ({ identifier: 'store', payload: event, maxAttempts: 4 })))
  },
})
await app.listen({ port: env.PORT, host: '127.0.0.1' })
sayReady()
stopOnSignal(async () => {
  await app.close()
  await utils.release()
  await pool.end()
})
