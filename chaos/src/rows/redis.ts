import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { Redis } from 'ioredis'
import { check, type Row, runUnderLoad } from '../row.ts'
import { requireRedis, type System } from '../system.ts'

export const redisRows: Row[] = [
  {
    name: 'redis-kill',
    fault: 'Redis kill -9 ×4',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async () => {
        for (let i = 0; i < 4; i++) {
          await sleep(1_000 + 1_000 * stage.random())
          await requireRedis(stage.servers).kill9()
          await requireRedis(stage.servers).start()
          stage.progress(`kill ${i + 1}/4`)
        }
        await sleep(1_000)
        return undefined
      }),
  },
  {
    name: 'redis-down',
    fault: 'Redis down 30 s (kill -9)',
    short: true,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        const seconds = stage.short ? 3 : 30
        await sleep(1_000)
        // kill -9 loses more than a stop: what Redis has confirmed must be on disk.
        await requireRedis(stage.servers).kill9()
        for (let s = 0; s < seconds; s++) {
          await sleep(1_000)
          stage.progress(`down ${s + 1}/${seconds} s`)
        }
        await requireRedis(stage.servers).start()
        const backAt = performance.now()
        const jobsBefore = await readLastJobId(system)
        await waitFor('the first job of an API', async () => (await readLastJobId(system)) > jobsBefore, {
          intervalMs: 20,
        })
        const backMs = performance.now() - backAt
        await sleep(1_000)
        const accepted = ledger.acceptedShare
        return [
          check('≥ 99 % of posts accepted', accepted >= 0.99, `${(accepted * 100).toFixed(2)} %`),
          check('queue path back ≤ 2 s after Redis', backMs <= 2_000, `${Math.round(backMs)} ms`),
        ]
      }),
  },
  {
    name: 'redis-frozen',
    fault: 'Redis frozen 20 s (SIGSTOP)',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        await sleep(1_000)
        requireRedis(stage.servers).freeze()
        await sleep(20_000)
        const log = await system.apis[0]?.readLog()
        requireRedis(stage.servers).thaw()
        await sleep(2_000)
        const wasAway = log?.includes('queue is away') ?? false
        return [
          check('the queue was away', wasAway, wasAway ? 'as the log says' : 'the log does not say so'),
          check('every post answered ≤ 1 s', ledger.slowestMs <= 1_000, `${Math.round(ledger.slowestMs)} ms`),
        ]
      }),
  },
  {
    name: 'flood',
    fault: 'flood with the worker stopped',
    short: false,
    run: (stage) =>
      runUnderLoad(
        stage,
        { env: { QUEUE_MAX_DEPTH: '200' }, load: { rate: 1_000 } },
        async ({ system, ledger }) => {
          const [worker] = system.workers
          await worker?.terminate()
          await waitFor('the API to shed load', () => ledger.answered('503') > 20, { timeoutMs: 60_000 })
          const depth = await system.queue.getWaitingCount()
          await worker?.start()
          await worker?.untilReady()
          const acceptedBefore = ledger.answered('202')
          await waitFor('the API to accept posts again', () => ledger.answered('202') > acceptedBefore + 50)
          return [check('503 at the limit', depth < 200 * 3, `${depth} jobs with a limit of 200`)]
        },
      ),
  },
  {
    name: 'redis-full',
    fault: 'Redis at maxmemory (CONFIG SET)',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        const redis = new Redis(requireRedis(stage.servers).url)
        try {
          await sleep(1_000)
          const logsBefore = await countErrorLogs(system)
          const refusedBefore = ledger.answered('503')
          await redis.config('SET', 'maxmemory', '1mb')
          await waitFor('posts to be refused', () => ledger.answered('503') > refusedBefore + 10)
          await sleep(8_000)
          const perSecond = ((await countErrorLogs(system)) - logsBefore) / 9
          await redis.config('SET', 'maxmemory', '0')
          const freedAt = performance.now()
          const acceptedBefore = ledger.answered('202')
          await waitFor('posts to be accepted', () => ledger.answered('202') > acceptedBefore + 5)
          const resumeMs = performance.now() - freedAt
          return [
            check('503 while full', true, `${ledger.answered('503') - refusedBefore} refused`),
            // Two processes, each with at most one line a second.
            check('≤ 1 error log/s per process', perSecond <= 2, perSecond.toFixed(2)),
            check('resumes ≤ 5 s', resumeMs <= 5_000, `${Math.round(resumeMs)} ms`),
          ]
        } finally {
          await redis.config('SET', 'maxmemory', '0')
          redis.disconnect()
        }
      }),
  },
]

/** Counts warnings and errors. A refused request has a line of its own, whatever its cause. */
async function countErrorLogs(system: System): Promise<number> {
  const logs = await Promise.all([...system.apis, ...system.workers].map((app) => app.readLog()))
  return logs
    .join('\n')
    .split('\n')
    .filter((line) => /"level":"(warn|error|fatal)"/.test(line) && !line.includes('"msg":"request"')).length
}

/** BullMQ numbers its jobs. */
async function readLastJobId({ queue, servers }: System): Promise<number> {
  const redis = new Redis(requireRedis(servers).url)
  try {
    return Number(await redis.get(queue.toKey('id')))
  } finally {
    redis.disconnect()
  }
}
