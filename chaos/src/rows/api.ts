import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { Ledger } from '../ledger.ts'
import { startLoad } from '../load.ts'
import { check, playUnderLoad, type Row, settleAndJudge } from '../row.ts'
import { countStalled } from '../settle.ts'
import { requireRedis } from '../world.ts'

export const apiRows: Row[] = [
  {
    name: 'api-kill',
    fault: 'API kill -9 ×20',
    short: true,
    run: (stage) =>
      playUnderLoad(stage, { apis: 2 }, async ({ world }) => {
        const kills = stage.short ? 3 : 20
        for (let i = 0; i < kills; i++) {
          await sleep(300 + 500 * stage.random())
          const api = world.apis[i % world.apis.length]
          await api?.kill9()
          await api?.start()
          await api?.untilReady()
          stage.progress(`kill ${i + 1}/${kills}`)
        }
        return undefined
      }),
  },
  {
    name: 'api-before-redis',
    fault: 'API started before Redis',
    short: false,
    async run(stage) {
      const world = await stage.createWorld()
      const redis = requireRedis(stage.servers)
      try {
        await redis.stop()
        const [api] = world.apis
        const [worker] = world.workers
        if (!api || !worker) throw new Error('A world has an API and a worker')
        await api.start()
        await worker.start()
        const readyBefore = await waitFor('the API to listen', async () => {
          const answer = await fetch(`${api.url}/health/ready`)
          return { status: answer.status }
        })
        const ledger = new Ledger()
        const load = startLoad({
          targets: () => [api.url],
          serviceKey: world.serviceKey,
          ledger,
          random: stage.random,
          label: world.databaseName,
        })
        await sleep(2_000)
        await redis.start()
        const redisAt = performance.now()
        await waitFor('the API to be ready', async () => (await fetch(`${api.url}/health/ready`)).ok)
        const readyMs = performance.now() - redisAt
        await sleep(1_000)
        await load.stop()
        return [
          check('ready says 503 without Redis', readyBefore.status === 503, readyBefore.status),
          check(
            'ready ≤ 5 s after Redis, no restart',
            readyMs <= 5_000 && api.isRunning,
            `${Math.round(readyMs)} ms`,
          ),
          ...(await settleAndJudge(world, ledger)),
        ]
      } finally {
        await redis.start()
        await world.stop()
      }
    },
  },
  {
    name: 'sigterm',
    fault: 'SIGTERM ×10',
    short: true,
    run: (stage) =>
      playUnderLoad(stage, { apis: 2, workers: 2 }, async ({ world, ledger }) => {
        const rounds = stage.short ? 2 : 10
        let slowestMs = 0
        const badExits: string[] = []
        for (let i = 0; i < rounds; i++) {
          for (const app of [world.apis[i % 2], world.workers[i % 2]]) {
            if (!app) continue
            await sleep(300 * stage.random())
            slowestMs = Math.max(slowestMs, await app.terminate())
            if (app.exitCode !== 0) badExits.push(`${app.name}: ${app.exitCode}`)
            await app.start()
            await app.untilReady()
          }
          stage.progress(`round ${i + 1}/${rounds}`)
        }
        const stalled = await countStalled(world)
        return [
          check('no reset connection', ledger.answered('reset') === 0, ledger.answered('reset')),
          check('no stalled job', stalled === 0, stalled),
          check('exit ≤ 10 s', slowestMs <= 10_000, `${Math.round(slowestMs)} ms`),
          check('exit code 0', badExits.length === 0, badExits.join(', ') || 'always'),
        ]
      }),
  },
]
