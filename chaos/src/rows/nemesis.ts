import { setTimeout as sleep } from 'node:timers/promises'
import type { ManagedProcess } from '../managed-process.ts'
import { pick } from '../random.ts'
import { check, type Row, type Run, runUnderLoad, type Stage } from '../row.ts'
import { requireRedis } from '../system.ts'

/** Injects one fault. Resolves when the system may recover from it. */
type Fault = (run: Run, stage: Stage) => Promise<void>

const LONGEST_OUTAGE_MS = 8_000

async function restart(app: ManagedProcess, end: 'kill9' | 'terminate') {
  await app[end]()
  await app.start()
}

const FAULTS: Record<string, Fault> = {
  'API kill -9': async ({ system }, { random }) => {
    const api = pick(random, system.apis)
    await restart(api, 'kill9')
    await api.untilReady(60_000)
  },
  'worker kill -9': ({ system }, { random }) => restart(pick(random, system.workers), 'kill9'),
  'worker SIGTERM': ({ system }, { random }) => restart(pick(random, system.workers), 'terminate'),
  'API SIGTERM': async ({ system }, { random }) => {
    const api = pick(random, system.apis)
    await restart(api, 'terminate')
    await api.untilReady(60_000)
  },
  'Redis kill -9': async (_run, { servers }) => {
    await requireRedis(servers).kill9()
    await requireRedis(servers).start()
  },
  'Redis down': async (_run, { servers, random }) => {
    await requireRedis(servers).stop()
    await sleep(LONGEST_OUTAGE_MS * random())
    await requireRedis(servers).start()
  },
  'Redis frozen': async (_run, { servers, random }) => {
    requireRedis(servers).freeze()
    await sleep(LONGEST_OUTAGE_MS * random())
    requireRedis(servers).thaw()
  },
  'PostgreSQL kill -9': async (_run, { servers }) => {
    await servers.postgres.kill9()
    await servers.postgres.start()
  },
  'PostgreSQL down': async (_run, { servers, random }) => {
    await servers.postgres.stop('immediate')
    await sleep(LONGEST_OUTAGE_MS * random())
    await servers.postgres.start()
  },
  'both down': async (_run, { servers, random }) => {
    await Promise.all([requireRedis(servers).kill9(), servers.postgres.kill9()])
    await sleep(3_000 * random())
    await Promise.all([requireRedis(servers).start(), servers.postgres.start()])
  },
}

export const nemesisRow: Row = {
  name: 'nemesis',
  fault: 'all of these at random',
  short: false,
  run: (stage) =>
    runUnderLoad(stage, { apis: 2, workers: 2, restWithinMs: 180_000 }, async (run) => {
      const until = performance.now() + stage.minutes * 60_000
      const injected: string[] = []
      while (performance.now() < until) {
        const name = pick(stage.random, Object.keys(FAULTS))
        const leftSeconds = Math.max(0, Math.round((until - performance.now()) / 1000))
        stage.progress(`${name}; ${leftSeconds} s left, ${run.ledger.acknowledged().length} acknowledged`)
        await FAULTS[name]?.(run, stage)
        injected.push(name)
        await sleep(500 + 2_500 * stage.random())
      }
      const seen = `${injected.length} faults of ${new Set(injected).size} kinds`
      return [check(`went on for ${stage.minutes} min`, true, seen)]
    }),
}
