import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { Ledger, listDead } from '../ledger.ts'
import { startLoad } from '../load.ts'
import { check, playUnderLoad, type Row, settleAndJudge } from '../row.ts'
import { readStores } from '../settle.ts'

const SABOTAGED_WORKER = 'chaos/src/sabotaged-worker.ts'

export const workerRows: Row[] = [
  {
    name: 'worker-kill',
    fault: 'worker kill -9 ×30',
    short: true,
    run: (stage) =>
      playUnderLoad(stage, { workers: 2 }, async ({ world, ledger }) => {
        const kills = stage.short ? 3 : 30
        for (let i = 0; i < kills; i++) {
          await sleep(150 + 400 * stage.random())
          const worker = world.workers[i % world.workers.length]
          await worker?.kill9()
          await worker?.start()
          await worker?.untilReady()
          stage.progress(`kill ${i + 1}/${kills}`)
        }
        const killedAt = performance.now()
        const before = [...ledger.entries.values()].filter((entry) => entry.knowledge === 'acknowledged')
        await waitFor(
          'what was in flight at the last kill',
          async () => {
            const { rows } = await readStores(world)
            return before.every((entry) => rows.has(entry.notificationId))
          },
          { timeoutMs: 60_000, intervalMs: 500 },
        )
        const redeliveryMs = performance.now() - killedAt
        return [check('redelivery ≤ 20 s', redeliveryMs <= 20_000, `${(redeliveryMs / 1000).toFixed(1)} s`)]
      }),
  },
  {
    name: 'worker-exits',
    fault: 'worker that exits inside the processor',
    short: false,
    async run(stage) {
      const world = await stage.createWorld({
        workerMain: SABOTAGED_WORKER,
        env: { SABOTAGE: 'exit-on-killer' },
      })
      const [worker] = world.workers
      try {
        await world.startAll()
        // A supervisor, as every deployment has one.
        let supervising = true
        let starts = 1
        const supervisor = (async () => {
          while (supervising) {
            await worker?.untilExit()
            if (!supervising) return
            await worker?.start()
            starts++
            stage.progress(`start ${starts}`)
            await sleep(200)
          }
        })()
        const ledger = new Ledger()
        const load = startLoad({
          targets: () => world.apis.map((api) => api.url),
          serviceKey: world.serviceKey,
          ledger,
          random: stage.random,
          label: world.databaseName,
          rate: 100,
          decorate: (n) => (n === 25 ? { body: { provider: 'killer' }, destiny: 'dead letter' } : undefined),
        })
        await sleep(2_000)
        await load.stop()
        await waitFor(
          'the killer to be buried',
          async () => listDead(await readStores(world)).some((dead) => dead.reason === 'stalled'),
          { timeoutMs: 180_000, intervalMs: 500 },
        )
        const { dead } = await readStores(world)
        const killer = listDead({ dead }).find((entry) => entry.reason === 'stalled')
        const checks = await settleAndJudge(world, ledger)
        supervising = false
        await worker?.kill9()
        await supervisor
        return [
          check(
            'one dead letter, reason stalled',
            dead.size === 1 && killer !== undefined,
            `${dead.size} dead`,
          ),
          check('after 6 starts of the job', killer?.attempts === 6, killer?.attempts),
          ...checks,
        ]
      } finally {
        await world.stop()
      }
    },
  },
]
