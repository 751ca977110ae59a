import { type JobQueue, openQueue, openRedis, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue, FailedEvent } from '@tidings/queue/dead-letters/bury'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { Releaser } from '@tidings/stack/releaser'
import {
  type BackendKind,
  createTestBackend,
  createTestDatabase,
  type TestDatabase,
} from '@tidings/stack/testing/test-context'
import { type Cli, createCli } from './cli-process.ts'

export interface QueuedEnvelope {
  v: number
  events: { id: string; redrives?: number }[]
}

/** Stores of one's own, the program set up for them, and the queues to look into. */
export interface CliLab {
  cli: Cli
  backend: QueueBackend
  db: TestDatabase
  store: DeadLetterStore
  main: JobQueue<QueuedEnvelope>
  /** Buries so many and returns the entries' ids in order. */
  bury(count: number, overrides?: Parameters<typeof makeFailedEvent>[0]): Promise<string[]>
  /** Entry ids of the events on the main queue, one for each time an event is there. */
  queuedIds(): Promise<string[]>
  empty(): Promise<void>
}

export async function createCliLab(kind: BackendKind, releaser: Releaser): Promise<CliLab> {
  const onError = () => undefined
  const db = await createTestDatabase(releaser)
  const backend = await createTestBackend(kind, releaser, db)
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
  releaser.onRelease(() => redis?.disconnect())
  const dead: DeadLetterQueue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
  const main = openQueue<QueuedEnvelope>(STATUS_QUEUE, backend, redis, { onError })
  const store = await openDeadLetters({ backend, shards: 1, onError })
  for (const part of [dead, main, store]) releaser.onRelease(() => part.close())
  const queue: Record<string, string> =
    backend.kind === 'redis'
      ? { REDIS_URL: backend.url, QUEUE_PREFIX: backend.prefix }
      : { QUEUE_BACKEND: 'postgres' }

  return {
    cli: createCli({ DATABASE_URL: db.url, TIDINGS_OPERATOR: 'ada', ...queue }),
    backend,
    db,
    store,
    main,
    async bury(count, overrides) {
      const failedEvents: FailedEvent[] = Array.from({ length: count }, () => makeFailedEvent(overrides))
      for (let start = 0; start < count; start += 1_000)
        await bury(dead, failedEvents.slice(start, start + 1_000))
      return failedEvents.map((failedEvent) => `dead-${failedEvent.eventId}`)
    },
    async queuedIds() {
      const jobs = await main.getJobs(['waiting', 'delayed', 'active'], 0, -1, true)
      return jobs.flatMap((job) => job.data.events.map((event) => `dead-${event.id}`))
    },
    async empty() {
      await dead.obliterate({ force: true })
      await main.obliterate({ force: true })
      await db.database.pool.query('TRUNCATE operator_audit, notification_status, users CASCADE')
    },
  }
}
