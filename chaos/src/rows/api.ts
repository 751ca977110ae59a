import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { Ledger } from '../ledger.ts'
import { check, type Row, runUnderLoad, settleAndCompare, startSystemLoad } from '../row.ts'
import { countStalled } from '../settle.ts'
import { requireRedis } from '../system.ts'

/** Connections that a stop may reset: those that the kernel has established and Node.js has not accepted yet. */
const NEW_RESETS = 3

export const apiRows: Row[] = [
  {
    name: 'api-kill',
    fault: 'API kill -9 ×20',
    short: true,
    concurrent: true,
    run: (stage) =>
      runUnderLoad(stage, { apis: 2 }, async ({ system }) => {
        const kills = stage.short ? 2 : 20
        for (let i = 0; i < kills; i++) {
          await sleep(300 + 500 * stage.random())
          const api = system.apis[i % system.apis.length]
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
      const system = await stage.createSystem()
      const redis = requireRedis(stage.servers)
      try {
        await redis.stop()
        const [api] = system.apis
        const [worker] = system.workers
        if (!api || !worker) throw new Error('The system has no API or no worker')
        await api.start()
        await worker.start()
        const readyBefore = await waitFor('the API to listen', async () => {
          const answer = await fetch(`${api.url}/health/ready`)
          return { status: answer.status }
        })
        const ledger = new Ledger()
        const load = startSystemLoad(stage, system, ledger)
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
          ...(await settleAndCompare(system, ledger)),
        ]
      } finally {
        await redis.start()
        await system.stop()
      }
    },
  },
  {
    name: 'api-without-postgres',
    fault: 'API started while PostgreSQL is down',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        const [api] = system.apis
        if (!api) throw new Error('The system has no API')
        await sleep(1_000)
        await stage.servers.postgres.stop('immediate')
        try {
          await api.terminate()
          await api.start()
          await api.untilReady()
          const [refused, accepted] = [ledger.answered('503'), ledger.answered('202')]
          await sleep(3_000)
          const since = {
            refused: ledger.answered('503') - refused,
            accepted: ledger.answered('202') - accepted,
          }
          return [
            check('only 202 once ready', since.refused === 0 && since.accepted > 0, JSON.stringify(since)),
          ]
        } finally {
          await stage.servers.postgres.start()
        }
      }),
  },
  {
    name: 'sigterm',
    fault: 'SIGTERM ×10',
    short: true,
    run: (stage) =>
      runUnderLoad(stage, { apis: 2, workers: 2 }, async ({ system, ledger }) => {
        const rounds = stage.short ? 1 : 10
        let slowestMs = 0
        const badExits: string[] = []
        for (let i = 0; i < rounds; i++) {
          for (const app of [system.apis[i % 2], system.workers[i % 2]]) {
            if (!app) continue
            await sleep(300 * stage.random())
            slowestMs = Math.max(slowestMs, await app.terminate())
            if (app.exitCode !== 0) badExits.push(`${app.name}: ${app.exitCode}`)
            await app.start()
            await app.untilReady()
          }
          stage.progress(`round ${i + 1}/${rounds}`)
        }
        const stalled = await countStalled(system)
        const resetWhenNew = ledger.answered('reset when new')
        return [
          check('no reset of an open connection', ledger.answered('reset') === 0, ledger.answered('reset')),
          check('new connections reset', resetWhenNew <= rounds * NEW_RESETS, resetWhenNew),
          check('no stalled job', stalled === 0, stalled),
          check('exit ≤ 10 s', slowestMs <= 10_000, `${Math.round(slowestMs)} ms`),
          check('exit code 0', badExits.length === 0, badExits.join(', ') || 'always'),
        ]
      }),
  },
]
