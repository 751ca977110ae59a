import { setTimeout as sleep } from 'node:timers/promises'
import { pick } from '../random.ts'
import { check, playUnderLoad, type Row, type Run, type Stage } from '../row.ts'
import { requireRedis } from '../world.ts'

/** One blow; resolves when what it broke is mended. */
type Blow = (play: Run, stage: Stage) => Promise<void>

const BLOWS: Record<string, Blow> = {
  'API kill -9': async ({ world }, { random }) => {
    const api = pick(random, world.apis)
    await api.kill9()
    await api.start()
    await api.untilReady(60_000)
  },
  'worker kill -9': async ({ world }, { random }) => {
    const worker = pick(random, world.workers)
    await worker.kill9()
    await worker.start()
  },
  'worker SIGTERM': async ({ world }, { random }) => {
    const worker = pick(random, world.workers)
    await worker.terminate()
    await worker.start()
  },
  'API SIGTERM': async ({ world }, { random }) => {
    const api = pick(random, world.apis)
    await api.terminate()
    await api.start()
    await api.untilReady(60_000)
  },
  'Redis kill -9': async (_play, { servers }) => {
    await requireRedis(servers).kill9()
    await requireRedis(servers).start()
  },
  'Redis down': async (_play, { servers, random }) => {
    await requireRedis(servers).stop()
    await sleep(8_000 * random())
    await requireRedis(servers).start()
  },
  'Redis frozen': async (_play, { servers, random }) => {
    requireRedis(servers).freeze()
    await sleep(8_000 * random())
    requireRedis(servers).thaw()
  },
  'PostgreSQL kill -9': async (_play, { servers }) => {
    await servers.postgres.kill9()
    await servers.postgres.start()
  },
  'PostgreSQL down': async (_play, { servers, random }) => {
    await servers.postgres.stop('immediate')
    await sleep(8_000 * random())
    await servers.postgres.start()
  },
  'both down': async (_play, { servers, random }) => {
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
    playUnderLoad(stage, { apis: 2, workers: 2, restWithinMs: 180_000 }, async (play) => {
      const until = performance.now() + stage.minutes * 60_000
      const struck = new Map<string, number>()
      while (performance.now() < until) {
        const name = pick(stage.random, Object.keys(BLOWS))
        const leftSeconds = Math.max(0, Math.round((until - performance.now()) / 1000))
        stage.progress(`${name}; ${leftSeconds} s left, ${play.ledger.count('acknowledged')} acknowledged`)
        await BLOWS[name]?.(play, stage)
        struck.set(name, (struck.get(name) ?? 0) + 1)
        await sleep(500 + 2_500 * stage.random())
      }
      const blows = [...struck.values()].reduce((sum, n) => sum + n, 0)
      return [check(`went on for ${stage.minutes} min`, true, `${blows} blows of ${struck.size} kinds`)]
    }),
}
