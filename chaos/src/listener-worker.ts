import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { openQueue, openWorker, queueBackendOf } from '@tidings/queue/backend'
import { buryEvents } from '@tidings/queue/dead-letters/bury'
import { parseEnvelope, sourceJobIdOf } from '@tidings/queue/envelope'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import { runMain } from '@tidings/runtime/run-main'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { readWorkerEnv } from '@tidings/worker/env'
import { serveWorkerHttp } from '@tidings/worker/health-server'
import { Registry } from 'prom-client'

/*
 * The usual design, with its flaw: it writes dead letters in a `failed` listener only. If the process is killed between
 * the failure and the listener's write, no store that anybody reads has the event.
 */

/** Any await opens the gap. This one keeps it open until the test kills the worker. */
const GAP_MS = 120_000

await runMain(async () => {
  const env = readWorkerEnv()
  const ignore = () => {}
  const db = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'listener',
    maxConnections: 4,
    onError: ignore,
  })
  const backend = queueBackendOf(env)
  const redis = openRedis(backend, 'patient', ignore)
  await redis.ping()
  const deadLetters = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: ignore })
  const worker = openWorker<unknown>(
    STATUS_QUEUE,
    backend,
    async (job) => void (await storeStatusEvents(db, parseEnvelope(job).events)),
    { concurrency: 4, lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 5 },
  )
  worker.on('error', ignore)
  worker.on('failed', async (job) => {
    if (job?.finishedOn === undefined) return
    await sleep(GAP_MS)
    await buryEvents(
      [deadLetters],
      parseEnvelope(job).events.map((event) => ({
        eventId: event.id,
        event,
        reason: 'retries_exhausted',
        error: { code: 'failed', message: job.failedReason },
        attempts: job.attemptsMade,
        firstFailedAt: new Date(),
        sourceJobId: sourceJobIdOf(job),
        redrives: 0,
      })),
      async () => new Set(),
    )
    await job.remove()
  })
  await serveWorkerHttp({
    port: env.WORKER_PORT,
    host: env.HOST,
    registry: new Registry(),
    isReady: () => true,
  })
  process.send?.('started')
})
