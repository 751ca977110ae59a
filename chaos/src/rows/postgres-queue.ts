import { setTimeout as sleep } from 'node:timers/promises'
import { type Row, runUnderLoad } from '../row.ts'

/** The same promise without Redis: BullMQ keeps its jobs in PostgreSQL. */
export const postgresQueueRows: Row[] = [
  {
    name: 'pg-queue-kill',
    fault: 'PostgreSQL queue: API and worker kill -9',
    short: true,
    concurrent: true,
    queue: 'postgres',
    run: (stage) =>
      runUnderLoad(stage, { apis: 2, workers: 2 }, async ({ system }) => {
        const rounds = stage.short ? 1 : 10
        for (let i = 0; i < rounds; i++) {
          for (const app of [system.workers[i % 2], system.apis[i % 2]]) {
            await sleep(200 + 400 * stage.random())
            await app?.kill9()
            await app?.start()
            await app?.untilReady()
          }
          stage.progress(`round ${i + 1}/${rounds}`)
        }
        return undefined
      }),
  },
  {
    name: 'pg-queue-postgres-kill',
    fault: 'PostgreSQL queue: PostgreSQL kill -9',
    short: false,
    queue: 'postgres',
    run: (stage) =>
      runUnderLoad(stage, {}, async () => {
        for (let i = 0; i < 3; i++) {
          await sleep(1_500 + 1_000 * stage.random())
          await stage.servers.postgres.kill9()
          await sleep(1_000)
          await stage.servers.postgres.start()
          stage.progress(`kill ${i + 1}/3`)
        }
        await sleep(2_000)
        return undefined
      }),
  },
]
