import { env } from '../contract/env.ts'
import { createFastifyApp } from '../contract/fastify-app.ts'
import { insertEvent, insertEvents, openPool } from '../contract/insert.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'

/** No queue at all: the caller waits for the row. */
const pool = openPool()
const app = await createFastifyApp({
  takeOne: (event) => insertEvent(pool, event),
  takeMany: (events) => insertEvents(pool, events),
})
await app.listen({ port: env.PORT, host: '127.0.0.1' })
sayReady()
stopOnSignal(async () => {
  await app.close()
  await pool.end()
})
