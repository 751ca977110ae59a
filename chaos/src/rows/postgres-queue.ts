import { setTimeout as sleep } from 'node:timers/promises'
import { playUnderLoad, type Row } from '../row.ts'

/** The same promise where there is no Redis: BullMQ's jobs are in PostgreSQL. */
export const postgresQueueRows: Row[] = [
  {
    name: 'pg-queue-kill',
    fault: 'PostgreSQL queue: API and worker kill -9',
    short: true,
    queue: 'postgres',
    run: (stage) =>
      playUnderLoad(stage, { apis: 2, workers: 2 }, async ({ world }) => {
        const kills = stage.short ? 2 : 10
        for (let i = 0; i < kills; i++) {
          for (const app of [world.workers[i % 2], world.apis[i % 2]]) {
            await sleep(200 + 400 * stage.random())
            await app?.kill9()
            await app?.start()
            await app?.untilReady()
          }
          stage.progress(`round ${i + 1}/${kills}`)
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
      playUnderLoad(stage, {}, async () => {
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
