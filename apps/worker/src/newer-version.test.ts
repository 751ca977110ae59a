import { openWorker, prepareQueueBackend } from '@tidings/queue/backend'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, STATUS_QUEUE } from '@tidings/queue/policy'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { DelayedError } from 'bullmq'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { openJobByJob } from './testing/job-by-job.ts'

const ignore = () => {}

describeRedis('an older worker beside a newer producer', () => {
  const releaser = useReleaser()
  let backend: Awaited<ReturnType<typeof createTestBackend>>
  let databaseUrl: string
  let jobs: ReturnType<typeof openJobByJob>

  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    databaseUrl = database.url
    backend = await createTestBackend('redis', releaser, database)
    await prepareQueueBackend(backend)
    jobs = openJobByJob(backend, releaser)
  })

  beforeEach(() => jobs.clear())

  async function startOlderWorker(wait: string) {
    if (backend.kind !== 'redis') throw new Error('This test is about Redis.')
    const port = await findFreePort()
    const worker = await spawnApp({
      name: 'older worker',
      main: 'apps/worker/src/main.ts',
      baseEnv: { PATH: process.env.PATH },
      env: {
        ...{ DATABASE_URL: databaseUrl, REDIS_URL: backend.url, QUEUE_PREFIX: backend.prefix },
        ...{ WORKER_PORT: String(port), UNKNOWN_VERSION_WAIT: wait },
      },
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    })
    releaser.add(worker, () => worker.stop())
    await worker.waitUntilReady()
    return worker
  }

  it('leaves its jobs to a newer worker, and stores the others', async () => {
    const older = await startOlderWorker('1h')
    const newData = Array.from({ length: 20 }, (_, n) => ({ v: 2, things: [n] }))
    await jobs.queue.addBulk(
      newData.map((data) => ({ name: ENVELOPE_JOB, data, opts: ENVELOPE_JOB_OPTIONS })),
    )
    await jobs.enqueue([makeEvent()])
    await waitFor('the older worker to put them back', async () => {
      const counts = await jobs.queue.getJobCounts('waiting', 'active', 'delayed')
      return counts.delayed === newData.length && counts.waiting === 0 && counts.active === 0
    })

    /** Reads version 2, and puts back what is not. */
    const taken: { data: unknown; attemptsMade: number }[] = []
    const newer = openWorker<{ v: number }>(
      STATUS_QUEUE,
      backend,
      async (job, token) => {
        if (job.data.v !== 2) {
          await job.moveToDelayed(Date.now() + 100, token)
          throw new DelayedError()
        }
        taken.push({ data: job.data, attemptsMade: job.attemptsMade })
      },
      {},
    )
    newer.on('error', ignore)
    releaser.onRelease(() => newer.close())
    // The operator need not wait for the next look of each job.
    const takeAll = async () => {
      for (const job of await jobs.queue.getDelayed()) await job.promote().catch(ignore)
      return taken.length >= newData.length
    }
    await waitFor('the newer worker to take them', takeAll, { timeoutMs: 20_000 })
    await waitFor(
      'an empty queue',
      async () => (await jobs.queue.getJobCountByTypes('delayed', 'waiting', 'active')) === 0,
    )
    expect(taken.map(({ attemptsMade }) => attemptsMade)).toEqual(newData.map(() => 0))
    expect(new Set(taken.map(({ data }) => JSON.stringify(data)))).toEqual(
      new Set(newData.map((data) => JSON.stringify(data))),
    )
    expect(await jobs.deadLetters.getJobCountByTypes('prioritized', 'waiting')).toBe(0)
    const lines = older
      .output()
      .split('\n')
      .filter((line) => line.includes('waits for a newer worker'))
    expect(lines).toHaveLength(1)
    await newer.close()
    await older.stop()
  })

  it('is alone: a job becomes one dead letter after UNKNOWN_VERSION_WAIT, without an attempt', async () => {
    const older = await startOlderWorker('2')
    const data = { v: 2, things: ['alone'] }
    const addedAt = Date.now()
    await jobs.queue.add(ENVELOPE_JOB, data, ENVELOPE_JOB_OPTIONS)
    const letter = await waitFor(
      'the dead letter',
      async () => (await jobs.deadLetters.getJobs(['prioritized']))[0],
    )
    expect(letter.data).toMatchObject({ reason: 'newer_version', event: data, attempts: 1 })
    expect(Date.parse(letter.data.dead_at)).toBeGreaterThanOrEqual(addedAt + 2_000)
    await waitFor(
      'an empty queue',
      async () => (await jobs.queue.getJobCountByTypes('delayed', 'waiting', 'active')) === 0,
    )
    expect(await older.stop()).toMatchObject({ code: 0 })
  })
})
