import { chmod, chown, copyFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openDatabase } from '@tidings/db/database'
import { classifyFailure } from '@tidings/db/failure'
import { migrateDatabase } from '@tidings/db/migrate'
import { createDatabase, startPostgres, withClient } from '@tidings/stack/servers/postgres'
import { clusterPaths } from '@tidings/stack/servers/postgres-cluster'
import { makeCertificates, openssl } from '@tidings/stack/testing/make-certificates'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { openQueue, prepareQueueBackend } from './backend.ts'

describe.skipIf(openssl === undefined)(
  `PostgreSQL with a certificate of an own CA${openssl ? '' : ': NO OPENSSL ON THE PATH'}`,
  () => {
    const releaser = useReleaser()
    let url: string
    let otherCa: string
    beforeAll(async () => {
      const [dataDir, folder] = [await makeTestFolder(releaser), await makeTestFolder(releaser)]
      const server = await startPostgres({ dataDir, durable: false, settings: { shared_buffers: '16MB' } })
      releaser.onRelease(() => server.stop('immediate'))
      const { ca, cert, key } = await makeCertificates(folder)
      otherCa = (await makeCertificates(folder, 'other')).ca
      const { cluster } = clusterPaths(dataDir)
      const { uid, gid } = await stat(cluster)
      for (const [from, name] of [
        [cert, 'server.crt'],
        [key, 'server.key'],
      ] as const) {
        const file = join(cluster, name)
        await copyFile(from, file)
        await chown(file, uid, gid)
        await chmod(file, 0o600)
      }
      await withClient(server.adminUrl, async (client) => {
        await client.query('ALTER SYSTEM SET ssl = on')
        await client.query('SELECT pg_reload_conf()')
      })
      await createDatabase(server.adminUrl, 'tidings')
      url = `${server.url('tidings')}?sslmode=verify-full&sslrootcert=${ca}`
    })

    it('is used by the migration, the pools and the queue', async () => {
      await migrateDatabase(url)
      const backend = { kind: 'postgres', url, schema: 'bullmq' } as const
      await prepareQueueBackend(backend)
      const queue = openQueue<string>('encrypted', backend, undefined, { onError: () => {} })
      const database = openDatabase({ url, applicationName: 'tls', maxConnections: 1, onError: () => {} })
      try {
        await queue.add('job', 'data')
        const { rows } = await database.pool.query(
          `SELECT count(*) > 1 AS many, bool_and(ssl) AS encrypted FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
           WHERE datname = 'tidings'`,
        )
        expect(rows).toEqual([{ many: true, encrypted: true }])
      } finally {
        await queue.close()
        await database.close()
      }
    })

    it('of another CA, or for another name, is refused as an outage', async () => {
      const withCa = new URL(url)
      withCa.searchParams.set('sslrootcert', otherCa)
      const withName = new URL(url)
      withName.hostname = 'localhost'
      for (const [wrong, code] of [
        [withCa, /^(SELF_SIGNED|UNABLE_TO)/],
        [withName, /^ERR_TLS_CERT_ALTNAME_INVALID$/],
      ] as const) {
        const database = openDatabase({
          url: wrong.href,
          applicationName: 'tls',
          maxConnections: 1,
          onError: () => {},
        })
        const failure: unknown = await database.pool.query('SELECT 1').catch((error: unknown) => error)
        await database.close()
        expect(failure).toMatchObject({ code: expect.stringMatching(code) })
        expect(classifyFailure(failure)).toBe('outage')
      }
    })
  },
)
