import { readContenderEnv } from '../contract/env.ts'
import { createFastifyApp } from '../contract/fastify-app.ts'
import { insertEvent, insertEvents, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'

/** Without a queue: the caller waits for the row. */
const env = readContenderEnv()
const pool = openPool(env.DATABASE_URL)
const app = await createFastifyApp(env.API_KEY, {
  takeOne: (event) => insertEvent(pool, event),
  takeMany: (events) => insertEvents(pool, events),
})
await app.listen({ port: env.PORT, host: '127.0.0.1' })
sayReady()
stopOnSignal(async () => {
  await app.close()
  await pool.end()
})
