import { openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import { prepareQueueBackend } from '@tidings/queue/backend'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { createDatabase, startPostgres, withClient } from '@tidings/stack/servers/postgres'
import { promote, setSynchronousStandby, startStandby } from '@tidings/stack/servers/postgres-standby'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy } from '@tidings/stack/testing/tcp-proxy'
import {
  availableBackends,
  createTestBackend,
  makeTestFolder,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { startTestWorker } from './testing/test-worker.ts'

const POLL = { intervalMs: 10, timeoutMs: 30_000 }
const releaser = useReleaser()

it('the primary is killed, and its standby takes the name over and is promoted: the events wait, and none becomes a dead letter', {
  timeout: 90_000,
}, async () => {
  const [primaryDir, standbyDir] = [await makeTestFolder(releaser), await makeTestFolder(releaser)]
  const settings = { shared_buffers: '16MB' }
  const primary = await startPostgres({ dataDir: primaryDir, settings })
  releaser.onRelease(() => primary.stop('immediate'))
  await createDatabase(primary.adminUrl, 'tidings')
  await migrateDatabase(primary.url('tidings'))
  const standby = await startStandby({ primary, primaryDir, dataDir: standbyDir, name: 'standby', settings })
  releaser.onRelease(() => standby.stop('immediate'))
  await setSynchronousStandby(primary, 'standby')

  const proxy = await startTcpProxy(primary.adminUrl, releaser)
  const url = new URL(primary.url('tidings'))
  url.port = String(proxy.port)
  const db = openDatabase({ url: url.href, applicationName: 'worker', maxConnections: 6, onError: () => {} })
  releaser.onRelease(() => db.close())
  const backend = await createTestBackend(availableBackends()[0] ?? 'postgres', releaser)
  await prepareQueueBackend(backend)
  const lifecycle = createLifecycle(createLogger('test', 'silent'))
  releaser.onRelease(() => lifecycle.release())
  const worker = await startTestWorker({ db, backend, lifecycle })
  const events = Array.from({ length: 60 }, () => makeEvent())
  const enqueue = async (from: number, to: number) => {
    for (const event of events.slice(from, to))
      await worker.queues[0]?.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)
  }
  const countRows = () =>
    withClient(standby.url('tidings'), async (client) => {
      const { rows } = await client.query<{ count: number }>(
        'SELECT count(*)::int AS count FROM notification_status',
      )
      return rows[0]?.count
    })

  await enqueue(0, 20)
  await waitFor('some rows on the standby', async () => Number(await countRows()) > 0, POLL)
  await primary.kill9()
  await enqueue(20, 40)
  await waitFor('the worker to pause', () => !worker.isTakingJobs, POLL)
  // Until it is promoted, the server behind the name answers 25006: read-only.
  proxy.aim(standby.adminUrl)
  await waitFor(
    'a connection to the standby',
    async () =>
      await withClient(standby.adminUrl, async (client) => {
        const found = await client.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'worker'")
        return found.rows.length > 0
      }),
    POLL,
  )
  await enqueue(40, 60)
  expect(worker.isTakingJobs).toBe(false)
  await promote(standby)
  await waitFor('every row', async () => (await countRows()) === events.length, POLL)
  expect(worker.isTakingJobs).toBe(true)
  expect(await worker.deadLetters[0]?.getJobCountByTypes('waiting', 'prioritized', 'delayed')).toBe(0)
})
