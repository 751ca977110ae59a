import { randomUUID } from 'node:crypto'
import { type Database, openDatabase } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { prepareQueueBackend, type QueueBackend } from '@tidings/queue/backend'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { createLifecycle, type Lifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import type { StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { withClient } from '@tidings/stack/servers/postgres'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  availableBackends,
  createDirectDatabase,
  createTestBackend,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { StatusWorker } from './status-worker.ts'
import { startTestWorker } from './testing/test-worker.ts'

const log = createLogger('test', 'silent')
const POLL = { intervalMs: 10, timeoutMs: 30_000 }

const query = <Row>(url: string, sql: string) =>
  withClient(url, async (client) => (await client.query(sql)).rows as Row[])

describe('a worker whose PostgreSQL', () => {
  const releaser = useReleaser()
  const role = `worker_${randomUUID().replaceAll('-', '')}`
  let name: string
  let ownerUrl: string
  /** The worker's connections. They use a separate role. */
  let db: Database
  let backend: QueueBackend
  let lifecycle: Lifecycle
  let worker: StatusWorker
  let statements = 0
  /** Runs SQL in another database, as the superuser. */
  const admin = (sql: string) => query(inject('servers').postgresAdminUrl, sql)
  const asOwner = <Row>(sql: string) => query<Row>(ownerUrl, sql)

  beforeAll(async () => {
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'old'`)
    releaser.onRelease(async () => void (await admin(`DROP ROLE ${role}`)))
    const url = new URL((await createDirectDatabase(releaser)).url)
    name = url.pathname.slice(1)
    ownerUrl = url.href
    await asOwner(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}`)
    url.username = role
    url.password = 'old'
    db = releaser.add(
      openDatabase({ url: url.href, applicationName: 'worker', maxConnections: 6, onError: () => {} }),
      (it) => it.close(),
    )
    // The queue stays reachable: it is on another server, or at least in another database.
    backend = await createTestBackend(availableBackends()[0] ?? 'postgres', releaser)
    await prepareQueueBackend(backend)
  })

  // A new worker for each test: after an outage, a worker probes less often.
  beforeEach(async () => {
    lifecycle = createLifecycle(log)
    worker = await startTestWorker({
      db,
      backend,
      lifecycle,
      store: (events) => {
        statements++
        return storeStatusEvents(db, events)
      },
      // A job comes back before the worker has paused: BullMQ may be fetching it already.
      timing: { sweepIntervalMs: 100, probeIntervalMs: 50, outageDelayMs: 1 },
    })
  })
  afterEach(() => lifecycle.release())

  const enqueue = (...events: StatusEvent[]) =>
    worker.queues[0]?.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  const untilStored = (...events: StatusEvent[]) =>
    waitFor(
      'rows',
      async () => {
        const found = await db.pool.query('SELECT id FROM notification_status WHERE id = ANY($1::uuid[])', [
          events.map((event) => event.id),
        ])
        return found.rows.length === events.length
      },
      POLL,
    )
  const countDead = () => worker.deadLetters[0]?.getJobCountByTypes('waiting', 'prioritized', 'delayed')
  const disconnectAll = () =>
    admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)

  it('has a full disk for a while: the worker writes nothing again until there is room', async () => {
    // A sequence also counts attempts that are rolled back: here each probe's write to the counters.
    await asOwner(`CREATE SEQUENCE probes;
      CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
      BEGIN
        IF TG_TABLE_NAME = 'ingest_counters' THEN PERFORM nextval('public.probes'); END IF;
        RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
      END $$;
      CREATE TRIGGER full_events BEFORE INSERT ON notification_status FOR EACH ROW EXECUTE FUNCTION disk_full();
      CREATE TRIGGER full_counters BEFORE INSERT ON ingest_counters FOR EACH ROW EXECUTE FUNCTION disk_full()`)
    statements = 0
    const event = makeEvent()
    await enqueue(event)
    await waitFor(
      'several probes',
      async () => {
        const [row] = await asOwner<{ last_value: string }>('SELECT last_value FROM probes')
        return Number(row?.last_value) >= 3
      },
      POLL,
    )
    expect(worker.isTakingJobs).toBe(false)
    // None when the regular check of PostgreSQL met the outage first.
    expect(statements).toBeLessThanOrEqual(1)
    await asOwner('DROP FUNCTION disk_full CASCADE')
    await untilStored(event)
    expect(await countDead()).toBe(0)
  })

  it.each([
    {
      what: 'has another password',
      take: async () => {
        await admin(`ALTER ROLE ${role} PASSWORD 'new'`)
        await disconnectAll()
      },
      giveBack: () => admin(`ALTER ROLE ${role} PASSWORD 'old'`),
    },
    {
      what: 'is read-only',
      take: async () => {
        await admin(`ALTER DATABASE ${name} SET default_transaction_read_only = on`)
        await disconnectAll()
      },
      giveBack: () => admin(`ALTER DATABASE ${name} RESET default_transaction_read_only`),
    },
    {
      what: 'denies it the right to write events',
      take: () => asOwner(`REVOKE INSERT ON notification_status FROM ${role}`),
      giveBack: () => asOwner(`GRANT INSERT ON notification_status TO ${role}`),
    },
    {
      what: 'lacks a column',
      take: () => asOwner('ALTER TABLE notification_status RENAME COLUMN provider TO renamed_provider'),
      giveBack: () => asOwner('ALTER TABLE notification_status RENAME COLUMN renamed_provider TO provider'),
    },
    {
      what: 'denies it the right to connect',
      take: async () => {
        await admin(`REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`)
        await disconnectAll()
      },
      giveBack: () => admin(`GRANT CONNECT ON DATABASE ${name} TO PUBLIC`),
    },
    {
      what: 'has the database under another name',
      take: () =>
        waitFor(
          'the database to be free',
          async () => {
            await disconnectAll()
            await admin(`ALTER DATABASE ${name} RENAME TO ${name}_old`)
            return true
          },
          POLL,
        ),
      giveBack: () => admin(`ALTER DATABASE ${name}_old RENAME TO ${name}`),
    },
  ])('$what for a while: the events wait, and none becomes a dead letter', async ({ take, giveBack }) => {
    await take()
    const events = Array.from({ length: 20 }, () => makeEvent())
    for (const event of events) await enqueue(event)
    try {
      await waitFor('the worker to take no more jobs', () => !worker.isTakingJobs, POLL)
    } finally {
      await giveBack()
    }
    await untilStored(...events)
    expect(worker.isTakingJobs).toBe(true)
    expect(await countDead()).toBe(0)
  })
})
