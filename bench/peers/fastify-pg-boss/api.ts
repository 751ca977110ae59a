import { readContenderEnv } from '../contract/env.ts'
import { createFastifyApp } from '../contract/fastify-app.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { openBoss, QUEUE } from './queue.ts'

const env = readContenderEnv()
const boss = await openBoss(env.DATABASE_URL)
const app = await createFastifyApp(env.API_KEY, {
  async takeOne(event) {
    await boss.send(QUEUE, event)
  },
  async takeMany(events) {
    await boss.insert(
      QUEUE,
      events.map((event) => ({ data: event })),
    )
  },
})
await app.listen({ port: env.PORT, host: '127.0.0.1' })
sayReady()
stopOnSignal(async () => {
  await app.close()
  await boss.stop({ graceful: false })
})
