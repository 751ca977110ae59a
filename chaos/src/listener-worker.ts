import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { openQueue, openRedis, openWorker, queueBackendOf } from '@tidings/queue/backend'
import { buryEvents } from '@tidings/queue/dead-letters/bury'
import { parseEnvelope, sourceJobIdOf } from '@tidings/queue/envelope'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import { createLogger } from '@tidings/runtime/log'
import { runMain } from '@tidings/runtime/run-main'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { readWorkerEnv } from '@tidings/worker/env'
import { serveWorkerHttp } from '@tidings/worker/health-server'
import { createBatchWriter } from '@tidings/worker/jobs/batch-writer'
import { processEnvelope } from '@tidings/worker/jobs/process-envelope'
import { Registry } from 'prom-client'

/*
 * The hand-off that everybody writes first: bury in a `failed` listener, and nowhere else. A process killed
 * between the failure and the burial leaves the event in no place that anybody looks at.
 */
await runMain(async () => {
  const env = readWorkerEnv()
  const log = createLogger('listener-worker', env.LOG_LEVEL)
  const onError = () => {}
  const db = openDatabase({ url: env.DATABASE_URL, applicationName: 'listener', maxConnections: 4, onError })
  const backend = queueBackendOf(env)
  const redis = openRedis(backend.url, 'patient', onError)
  await redis.ping()
  const deadLetters = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
  const writer = createBatchWriter({
    store: (events) => storeStatusEvents(db, events),
    writers: 1,
  })
  const ignore = () => {}
  const nobodyErased = async () => new Set<string>()
  const worker = openWorker<unknown>(
    STATUS_QUEUE,
    backend,
    (job, token) =>
      processEnvelope(job, token, {
        writer,
        onParsed: ignore,
        bury: (failedEvents) => buryEvents(deadLetters, failedEvents, nobodyErased),
        onOutage: ignore,
        onSettleError: ignore,
        count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
        suspectLock: { isHeld: false },
      }),
    { concurrency: 4, lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 5 },
  )
  worker.on('error', onError)
  worker.on('failed', async (job) => {
    if (job?.finishedOn === undefined) return
    // Any await is enough; this one makes the window wide.
    await sleep(2_000)
    const { events } = parseEnvelope(job)
    await buryEvents(
      deadLetters,
      events.map((event) => ({
        eventId: event.id,
        event,
        reason: 'retries_exhausted',
        error: { code: 'failed', message: job.failedReason },
        attempts: job.attemptsMade,
        firstFailedAt: new Date(),
        sourceJobId: sourceJobIdOf(job),
        redrives: 0,
      })),
      nobodyErased,
    )
    await job.remove()
  })
  await serveWorkerHttp({
    port: env.WORKER_PORT,
    host: env.HOST,
    registry: new Registry(),
    isReady: () => true,
  })
  log.info('taking jobs')
  process.send?.('started')
})
