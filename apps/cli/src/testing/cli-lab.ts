import { randomUUID } from 'node:crypto'
import { type JobQueue, openQueue, type QueueBackend } from '@tidings/queue/backend'
import { buryEvents, type DeadLetterQueue, type FailedEvent } from '@tidings/queue/dead-letters/bury'
import { deadLetterId, placeOf } from '@tidings/queue/dead-letters/entry-id'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { openRedis } from '@tidings/queue/open-redis'
import { deadLetterNames, shardNames } from '@tidings/queue/queue-names'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { Releaser } from '@tidings/stack/releaser'
import {
  type BackendKind,
  createTestBackend,
  createTestDatabase,
  databaseVariables,
  type TestDatabase,
  testShards,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach } from 'vitest'
import { type Cli, createCli } from './cli-process.ts'

interface QueuedEnvelope {
  v: number
  events: { id: string; redrives?: number }[]
}

interface AuditRow {
  actor: string
  action: string
  changed: number
  result: string
  selector: unknown
}

/** Users last: events refer to them. */
const EMPTIED_TABLES = [
  'operator_audit',
  'notification_status',
  'suppressions',
  'failed_deliveries',
  'status_counts',
  'event_keys',
  'ingest_counters',
  'event_outbox',
  'users',
]

/** A database and a queue for one test file, the CLI configured for them, and the queues to inspect. */
export interface CliLab {
  cli: Cli
  backend: QueueBackend
  db: TestDatabase
  store: DeadLetterStore
  /** The first shard. */
  main: JobQueue<QueuedEnvelope>
  /** Buries `count` events and returns the entries' ids in order. */
  bury(count: number, overrides?: Parameters<typeof makeFailedEvent>[0]): Promise<string[]>
  /** Buries two events of one id and other content. */
  buryConflict(): Promise<{ eventId: string; ids: string[] }>
  /** The rows of the audit table, oldest first. */
  audit(): Promise<AuditRow[]>
  /** The queue that holds a dead letter. */
  deadQueueOf(id: string): DeadLetterQueue
  /** The jobs on the main queue, in all shards. */
  queuedJobs(): ReturnType<JobQueue<QueuedEnvelope>['getJobs']>
  /** The entry ids that the events on the main queue would have. An event that is there twice counts twice. */
  queuedIds(): Promise<string[]>
  empty(): Promise<void>
}

/**
 * Makes a lab for the tests of a `describe`, and its CLI. Both are empty objects until the first test starts, so that
 * a test file can declare them once.
 */
export function useCliLab(kind: BackendKind, releaser: Releaser): { lab: CliLab; cli: Cli } {
  const lab = {} as CliLab
  const cli = {} as Cli
  beforeAll(async () => {
    Object.assign(lab, await createCliLab(kind, releaser))
    Object.assign(cli, lab.cli)
  })
  return { lab, cli }
}

/** Like useCliLab. The stores are empty at the start of each test. */
export function useEmptyCliLab(kind: BackendKind, releaser: Releaser): { lab: CliLab; cli: Cli } {
  const used = useCliLab(kind, releaser)
  beforeEach(() => used.lab.empty())
  return used
}

export async function createCliLab(kind: BackendKind, releaser: Releaser): Promise<CliLab> {
  const onError = () => undefined
  const db = await createTestDatabase(releaser)
  const backend = await createTestBackend(kind, releaser, db)
  const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', onError) : undefined
  releaser.onRelease(() => redis?.disconnect())
  const shards = testShards(backend)
  const open = <Data>(name: string) => openQueue<Data>(name, backend, redis, { onError })
  const dead = deadLetterNames(backend, shards).map((name) => open<DeadLetter>(name))
  const queues = shardNames(shards).map((name) => open<QueuedEnvelope>(name))
  const [main] = queues
  if (main === undefined) throw new Error('There is at least one shard')
  const store = await openDeadLetters({ backend, shards, onError })
  for (const part of [...dead, ...queues, store]) releaser.onRelease(() => part.close())
  const queue: Record<string, string> =
    backend.kind === 'redis'
      ? { REDIS_URL: backend.url, QUEUE_PREFIX: backend.prefix, QUEUE_SHARDS: String(shards) }
      : { QUEUE_BACKEND: 'postgres' }

  async function buryMany(count: number, overrides?: Parameters<typeof makeFailedEvent>[0]) {
    const failedEvents: FailedEvent[] = Array.from({ length: count }, () => makeFailedEvent(overrides))
    for (let start = 0; start < count; start += 1_000)
      await buryEvents(dead, failedEvents.slice(start, start + 1_000), async () => new Set())
    const ids = failedEvents.map(deadLetterId)
    // Those of the same millisecond are listed shard by shard.
    return ids.toSorted((a, b) => placeOf(a, dead.length) - placeOf(b, dead.length))
  }

  const queuedJobs = async () => {
    const jobs = await Promise.all(
      queues.map((each) => each.getJobs(['waiting', 'delayed', 'active'], 0, -1, true)),
    )
    return jobs.flat()
  }

  return {
    cli: createCli({ ...databaseVariables(db), TIDINGS_OPERATOR: 'ada', ...queue }),
    backend,
    db,
    store,
    main,
    bury: buryMany,
    async buryConflict() {
      const eventId = randomUUID()
      const [sent] = await buryMany(1, { eventId, reason: 'conflict', fields: { status: 'sent' } })
      const [opened] = await buryMany(1, { eventId, reason: 'conflict', fields: { status: 'opened' } })
      return { eventId, ids: [sent ?? '', opened ?? ''] }
    },
    async audit() {
      const { rows } = await db.database.pool.query<AuditRow>(
        'SELECT actor, action, changed, result, selector FROM operator_audit ORDER BY at, id',
      )
      return rows
    },
    deadQueueOf(id) {
      const queue = dead[placeOf(id, dead.length)]
      if (queue === undefined) throw new Error('There is no such queue')
      return queue
    },
    queuedJobs,
    async queuedIds() {
      const jobs = await queuedJobs()
      return jobs.flatMap(({ data }) =>
        data.events.map((event) => deadLetterId({ eventId: event.id, event })),
      )
    },
    async empty() {
      await Promise.all([...dead, ...queues].map((each) => each.obliterate({ force: true })))
      // With a few rows, DELETE takes a tenth of the time of TRUNCATE.
      await db.database.pool.query(EMPTIED_TABLES.map((table) => `DELETE FROM ${table}`).join(';'))
    },
  }
}
