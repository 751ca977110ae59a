import { env } from '../contract/env.ts'
import { createFastifyApp } from '../contract/fastify-app.ts'
import { sayReady, stopOnSignal } from '../contract/process.ts'
import { openBoss, QUEUE } from './queue.ts'

const boss = await openBoss()
const app = await createFastifyApp({
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
