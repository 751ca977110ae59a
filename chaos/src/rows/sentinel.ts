import { setTimeout as sleep } from 'node:timers/promises'
import type { SentinelSet } from '@tidings/stack/servers/redis-sentinel'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { check, type Row, type Run, runUnderLoad, type Stage } from '../row.ts'

const FAILOVERS = 20
const BACK_WITHIN_MS = 2_000
/** How often the harness looks for a new job, in milliseconds. */
const LOOK_EVERY_MS = 20

export const sentinelRows: Row[] = [
  {
    name: 'sentinel-failovers',
    fault: `Sentinel: ${FAILOVERS} failovers, in turn on demand, kill -9 and SIGSTOP, ACK_REPLICAS=1`,
    short: true,
    run: (stage) =>
      runUnderLoad(stage, { apis: 2, workers: 2, env: { ACK_REPLICAS: '1' } }, async (run) => {
        const count = stage.short ? 2 : FAILOVERS
        const backMs: number[] = []
        for (let index = 0; index < count; index++) {
          stage.progress(`failover ${index + 1} of ${count}`)
          backMs.push(await failOver(requireSentinels(stage), index % 3, run))
        }
        const slowest = Math.max(...backMs)
        return [
          check('failovers', true, count),
          check(
            `queue path back ≤ ${BACK_WITHIN_MS / 1_000} s after each new master`,
            slowest <= BACK_WITHIN_MS,
            `slowest ${Math.round(slowest)} ms`,
          ),
        ]
      }),
  },
]

/** @returns milliseconds from the new master, with its replica, to the first job of an API on it. */
async function failOver(set: SentinelSet, way: number, { system }: Run): Promise<number> {
  await set.untilHealthy(60_000)
  const before = await set.master()
  if (way === 0) await set.failover()
  else if (way === 1) await before.kill9()
  else before.freeze()
  await waitFor('another master', async () => (await set.master().catch(() => before)) !== before, {
    timeoutMs: 30_000,
    intervalMs: LOOK_EVERY_MS,
  })
  const newMasterAt = performance.now()
  const lastJob = async () => Number(await system.redis?.get(system.queue.toKey('id')).catch(() => 0))
  const jobsBefore = await lastJob()
  await waitFor('a job of an API', async () => (await lastJob()) > jobsBefore, { intervalMs: LOOK_EVERY_MS })
  const backMs = performance.now() - newMasterAt
  await sleep(1_000)
  if (way === 1) await before.start()
  if (way === 2) before.thaw()
  return backMs
}

function requireSentinels({ servers }: Stage): SentinelSet {
  if (servers.sentinels === undefined) throw new Error('This row needs --topology sentinel')
  return servers.sentinels
}
