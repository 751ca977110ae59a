import { openDatabase } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { migrateDatabase } from '@tidings/db/migrate'
import { prepareQueueBackend } from '@tidings/queue/backend'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { createDatabase, startPostgres, withClient } from '@tidings/stack/servers/postgres'
import { startStandby } from '@tidings/stack/servers/postgres-standby'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { startTestApi } from '../testing/test-api.ts'

const releaser = useReleaser()

it('search and statistics are read from the replica unless the client wants them fresh; a notification never is', async () => {
  const [primaryDir, standbyDir] = [await makeTestFolder(releaser), await makeTestFolder(releaser)]
  const shared = { durable: false, settings: { shared_buffers: '16MB' } }
  const primary = await startPostgres({ dataDir: primaryDir, ...shared })
  releaser.onRelease(() => primary.stop('immediate'))
  await createDatabase(primary.adminUrl, 'tidings')
  const url = primary.url('tidings')
  await migrateDatabase(url)
  const backend = { kind: 'postgres', url, schema: 'bullmq' } as const
  await prepareQueueBackend(backend)
  const standby = await startStandby({ primary, primaryDir, dataDir: standbyDir, name: 'standby', ...shared })
  releaser.onRelease(() => standby.stop('immediate'))
  const database = releaser.add(
    openDatabase({ url, applicationName: 'test', maxConnections: 2, onError: () => {} }),
    (opened) => opened.close(),
  )
  const replicaUrl = standby.url('tidings')
  const api = await startTestApi(
    releaser,
    { DATABASE_READ_URL: replicaUrl },
    { database: { url, database }, backend },
  )
  const key = await api.createKey('status:read', 'stats:read')
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${api.apiUrl}${path}`, {
      headers: { authorization: `Bearer ${key}`, connection: 'close', ...headers },
    })
    return { status: answer.status, body: (await answer.json()) as { data: unknown[] } }
  }
  const readsOnStandby = () =>
    withClient(replicaUrl, async (client) => {
      const { rows } = await client.query<{ query: string }>(
        "SELECT query FROM pg_stat_activity WHERE application_name = 'tidings-api-reads'",
      )
      return rows.map(({ query }) => query).join('\n')
    })

  await waitFor('a search on the replica', async () => {
    expect(await get('/api/v1/events/?notification_id=new')).toMatchObject({
      status: 200,
      body: { data: [] },
    })
    return (await readsOnStandby()).includes('notification_status')
  })
  await get('/api/v1/stats/')
  expect(await readsOnStandby()).toContain('status_counts')

  await withClient(replicaUrl, (client) => client.query('SELECT pg_wal_replay_pause()'))
  await storeStatusEvents(database, [makeEvent({ notification_id: 'new' })])
  expect((await get('/api/v1/notifications/new/')).status).toBe(200)
  expect(
    (await get('/api/v1/events/?notification_id=new', { 'cache-control': 'no-cache' })).body.data,
  ).toHaveLength(1)
  // The replica lags until the next check; then the primary answers.
  await waitFor('the search to find it', async () => {
    const { status, body } = await get('/api/v1/events/?notification_id=new')
    expect(status).toBe(200)
    return body.data.length === 1
  })
})
