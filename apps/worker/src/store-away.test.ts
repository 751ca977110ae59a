import { randomUUID } from 'node:crypto'
import { type Database, openDatabase } from '@tidings/db/database'
import { createIngestAccount } from '@tidings/db/ingest-accounts'
import { storeStatusEvents } from '@tidings/db/status-events'
import { prepareQueueBackend } from '@tidings/queue/backend'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { identifyEvent } from '@tidings/shared/event-identity'
import { createLifecycle } from '@tidings/shared/lifecycle'
import { createLogger } from '@tidings/shared/log'
import { statusReportSchema } from '@tidings/shared/status-event'
import { withClient } from '@tidings/stack/postgres'
import {
  availableBackends,
  createTestBackend,
  createTestDatabase,
  useReleaser,
} from '@tidings/stack/test-context'
import { waitFor } from '@tidings/stack/wait-for'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { type StatusWorker, startStatusWorker } from './worker.ts'

const log = createLogger('test', 'silent')

function makeEvent() {
  const report = statusReportSchema.parse({ notification_id: `n-${randomUUID()}`, status: 'delivered' })
  return identifyEvent(report, { type: 'email', source: 'test', receivedAt: new Date() })
}

describe('a worker whose PostgreSQL', () => {
  const releaser = useReleaser()
  const role = `worker_${randomUUID().replaceAll('-', '')}`
  let name: string
  /** The worker's own way in, as a role of its own; `admin` is the test's, to another database. */
  let db: Database
  let worker: StatusWorker
  const admin = <Row>(sql: string) =>
    withClient(inject('servers').postgresAdminUrl, async (client) => (await client.query(sql)).rows as Row[])

  beforeAll(async () => {
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'old'`)
    releaser.onRelease(async () => void (await admin(`DROP ROLE ${role}`)))
    const url = new URL((await createTestDatabase(releaser)).url)
    name = url.pathname.slice(1)
    await withClient(url.href, (client) =>
      client.query(
        `GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}; GRANT ALL ON SCHEMA public TO ${role}`,
      ),
    )
    url.username = role
    url.password = 'old'
    db = releaser.add(
      openDatabase({ url: url.href, applicationName: 'worker', maxConnections: 6, onError: () => {} }),
      (it) => it.close(),
    )
    // The queue stays: it is another server's, or at least another database's.
    const backend = await createTestBackend(availableBackends()[0] ?? 'postgres', releaser)
    await prepareQueueBackend(backend)
    const lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    const ignore = () => {}
    worker = await startStatusWorker({
      db,
      backend,
      shards: 1,
      concurrency: 8,
      store: (events) => storeStatusEvents(db.pool, events, createIngestAccount('worker')),
      lanes: 2,
      account: createIngestAccount('worker'),
      count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
      lifecycle,
      log,
      onWedged: ignore,
    })
  })

  const disconnectAll = () =>
    admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)

  it.each([
    {
      what: 'has another password for a while',
      take: async () => {
        await admin(`ALTER ROLE ${role} PASSWORD 'new'`)
        await disconnectAll()
      },
      giveBack: () => admin(`ALTER ROLE ${role} PASSWORD 'old'`),
    },
    {
      what: 'does not let it into the database for a while',
      take: async () => {
        await admin(`REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`)
        await disconnectAll()
      },
      giveBack: () => admin(`GRANT CONNECT ON DATABASE ${name} TO PUBLIC`),
    },
    {
      what: 'has the database under another name for a while',
      take: () =>
        waitFor('the database to be free', async () => {
          await disconnectAll()
          await admin(`ALTER DATABASE ${name} RENAME TO ${name}_old`)
          return true
        }),
      giveBack: () => admin(`ALTER DATABASE ${name}_old RENAME TO ${name}`),
    },
  ])('$what: everything waits, nothing dies', async ({ take, giveBack }) => {
    await take()
    const events = Array.from({ length: 20 }, makeEvent)
    const [queue] = worker.queues
    for (const event of events)
      await queue?.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)
    try {
      await waitFor('the worker to take no more jobs', () => !worker.isTakingJobs)
    } finally {
      await giveBack()
    }
    await waitFor('rows', async () => {
      const found = await db.pool.query('SELECT id FROM notification_status WHERE id = ANY($1::uuid[])', [
        events.map((event) => event.id),
      ])
      return found.rows.length === events.length
    })
    expect(worker.isTakingJobs).toBe(true)
    expect(await worker.deadLetters.getJobCountByTypes('waiting', 'prioritized', 'delayed')).toBe(0)
  })
})
