import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { listDeadLetters } from '../ledger.ts'
import { check, type Row, runUnderLoad } from '../row.ts'
import { readStores } from '../settle.ts'

export const workerRows: Row[] = [
  {
    name: 'worker-kill',
    fault: 'worker kill -9 ×30',
    short: true,
    concurrent: true,
    run: (stage) =>
      runUnderLoad(stage, { workers: 2 }, async ({ system, ledger, load }) => {
        const kills = stage.short ? 2 : 30
        for (let i = 0; i < kills; i++) {
          await sleep(150 + 400 * stage.random())
          const worker = system.workers[i % system.workers.length]
          await worker?.kill9()
          await worker?.start()
          await worker?.untilReady()
          stage.progress(`kill ${i + 1}/${kills}`)
        }
        const killedAt = performance.now()
        const before = ledger.acknowledged()
        await load.stop()
        await waitFor(
          'the events in flight at the last kill',
          async () => {
            const { rows } = await readStores(system)
            return before.every((id) => rows.has(id))
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
    run: (stage) =>
      runUnderLoad(
        stage,
        {
          workerMain: 'chaos/src/sabotaged-worker.ts',
          env: { SABOTAGE: 'exit-on-killer' },
          load: {
            rate: 100,
            decorate: (n) =>
              n === 25 ? { body: { provider: 'killer' }, expected: 'dead letter' } : undefined,
          },
        },
        async ({ system, load }) => {
          const [worker] = system.workers
          let supervising = true
          let starts = 1
          // Restarts the worker, as every deployment's supervisor does.
          const supervise = async () => {
            for (;;) {
              await worker?.untilExit()
              if (!supervising) return
              await worker?.start()
              starts++
              stage.progress(`start ${starts}`)
              await sleep(200)
            }
          }
          void supervise()
          await sleep(2_000)
          await load.stop()
          const killer = await waitFor(
            'the dead letter of the killer',
            async () => listDeadLetters(await readStores(system)).find((entry) => entry.reason === 'stalled'),
            { timeoutMs: 180_000, intervalMs: 500 },
          )
          supervising = false
          const { deadLetters } = await readStores(system)
          return [
            check(
              'one dead letter, reason stalled',
              deadLetters.size === 1,
              `${deadLetters.size} dead letters`,
            ),
            check('after 6 starts of the job', killer.attempts === 6, killer.attempts),
          ]
        },
      ),
  },
]
