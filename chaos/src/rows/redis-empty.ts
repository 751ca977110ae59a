import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { z } from 'zod'
import { inheritedEnv } from '../env.ts'
import { compareWithStores, Ledger } from '../ledger.ts'
import { postStatus } from '../post-status.ts'
import { check, type Row, startSystemLoad } from '../row.ts'
import { countUnfinished, readStores, waitForRest } from '../settle.ts'
import { requireRedis, type System } from '../system.ts'

const CLI = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url))
const DEAD_EVENTS = 5

/**
 * Redis comes back with an empty disk. The events and dead letters that only it had are gone: doctor must count them,
 * and everything must work on without a restart.
 */
export const redisEmptyRow: Row = {
  name: 'redis-empty',
  fault: 'Redis back empty',
  short: false,
  async run(stage) {
    const system = await stage.createSystem()
    const [worker] = system.workers
    try {
      await system.startAll()
      const ledger = new Ledger()
      const before = startSystemLoad(stage, system, ledger)
      await Promise.all(Array.from({ length: DEAD_EVENTS }, (_, n) => postDeadEvent(system, ledger, n)))
      await sleep(2_000)
      await before.stop()
      await waitForRest(system, 60_000)
      await worker?.terminate()

      const unseen = startSystemLoad(stage, system, ledger, { label: `${system.databaseName}-unseen` })
      await waitFor('jobs to wait', async () => (await countUnfinished(system)) > 50)
      await unseen.stop()
      const { deadLetters } = await readStores(system)
      const lostBefore = compareWithStores(ledger, await readStores(system)).lost.length

      await emptyRedis(stage.servers)
      await worker?.start()
      await worker?.untilReady()
      await waitFor(
        'the queue to be used again',
        async () => (await fetch(`${system.apis[0]?.url}/health/ready`)).ok,
      )
      const gone = lostBefore + deadLetters.size
      const doctor = await askDoctor(system)
      const jobs = await readMetric(`${system.apis[0]?.url}/metrics`, 'tidings_queue_jobs')
      const dead = await readMetric(`${worker?.url}/metrics`, 'tidings_dead_letters')

      const after = new Ledger()
      const load = startSystemLoad(stage, system, after, { label: `${system.databaseName}-after` })
      await sleep(2_000)
      await emptyRedis(stage.servers)
      await waitFor('posts to be accepted', () => after.answered('202') > 200)
      await load.stop()
      const restMs = await waitForRest(system, 60_000)
      const last = new Ledger()
      const lastLoad = startSystemLoad(stage, system, last, { label: `${system.databaseName}-last` })
      await sleep(2_000)
      await lastLoad.stop()
      await waitForRest(system, 60_000)
      const { lost } = compareWithStores(last, await readStores(system))
      return [
        check(
          'events were only in Redis',
          lostBefore > 50 && deadLetters.size === DEAD_EVENTS,
          `${lostBefore} and ${deadLetters.size} dead letters`,
        ),
        check(
          'doctor counts what is gone',
          doctor.includes(`${gone.toLocaleString('en')} more accepted than found`),
          doctor,
        ),
        check('metrics: no jobs, no dead letters', jobs === 0 && dead === 0, `${jobs}, ${dead}`),
        check(
          'at rest under load, too',
          restMs !== undefined,
          restMs === undefined ? 'not' : `${Math.round(restMs)} ms`,
        ),
        check('works on: lost 0', lost.length === 0, `${lost.length} of ${last.acknowledged().length}`),
      ]
    } finally {
      await system.stop()
    }
  },
}

async function postDeadEvent(system: System, ledger: Ledger, n: number): Promise<void> {
  const notificationId = `${system.databaseName}-dead-${n}`
  ledger.send(notificationId, 'dead letter')
  const answer = await postStatus(system, system.apis[0]?.url, {
    notification_id: notificationId,
    user_id: randomUUID(),
  })
  if (answer.status === 202) ledger.learn(notificationId, 'acknowledged')
}

async function emptyRedis(servers: System['servers']): Promise<void> {
  const redis = requireRedis(servers)
  await redis.kill9()
  const folder = join(servers.dir, 'redis')
  for (const name of await readdir(folder))
    if (name.startsWith('appendonly') || name.endsWith('.rdb'))
      await rm(join(folder, name), { recursive: true })
  await redis.start()
}

const checksSchema = z.array(z.object({ check: z.string(), advice: z.string().optional() }))

/** What `tidings doctor` advises about the events. */
async function askDoctor(system: System): Promise<string> {
  const env = {
    ...inheritedEnv(),
    DATABASE_URL: system.servers.postgres.url(system.databaseName),
    REDIS_URL: requireRedis(system.servers).url,
    QUEUE_PREFIX: system.databaseName,
  }
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'doctor', '-o', 'json'], { env })
  const events = checksSchema.parse(JSON.parse(stdout)).find(({ check: name }) => name === 'Events')
  return events?.advice ?? 'nothing'
}

async function readMetric(url: string, name: string): Promise<number | undefined> {
  const text = await (await fetch(url)).text()
  const [, value] = new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(text) ?? []
  return value === undefined ? undefined : Number(value)
}
