import { findProgram } from '@tidings/stack/servers/find-program'
import { startPgbouncer } from '@tidings/stack/servers/pgbouncer'
import { createDirectDatabase, makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'
import { createCli } from '../../testing/cli-process.ts'
import type { CheckResult } from './check-result.ts'

const program = findProgram('pgbouncer', process.env.PATH)

describe.skipIf(program === undefined)(
  `tidings doctor behind PgBouncer${program ? '' : ': NO PGBOUNCER ON THE PATH'}`,
  () => {
    const releaser = useReleaser()

    it('says that one in statement mode cannot be used', async () => {
      const { url } = await createDirectDatabase(releaser)
      const bouncer = await startPgbouncer({
        dataDir: await makeTestFolder(releaser),
        program: program ?? '',
        target: url,
        poolMode: 'statement',
        poolSize: 2,
      })
      releaser.onRelease(bouncer.stop)
      const cli = createCli({
        DATABASE_URL: bouncer.url(new URL(url).pathname.slice(1)),
        DATABASE_DIRECT_URL: url,
        QUEUE_BACKEND: 'postgres',
      })
      const checks: CheckResult[] = JSON.parse((await cli.run('doctor', '-o', 'json')).stdout)
      expect(checks.find(({ check }) => check === 'Pooler')).toMatchObject({
        result: 'failure',
        found: expect.stringContaining('transaction blocks not allowed'),
        advice: expect.stringContaining('pool_mode'),
      })
    })

    it('names the setting that PostgreSQL lacks and the URL that is missing, until they are there', async () => {
      const { url, database } = await createDirectDatabase(releaser)
      const name = new URL(url).pathname.slice(1)
      const bouncer = await startPgbouncer({
        dataDir: await makeTestFolder(releaser),
        program: program ?? '',
        target: url,
        poolMode: 'transaction',
        poolSize: 2,
      })
      releaser.onRelease(bouncer.stop)
      const examine = async (env: Record<string, string>) => {
        const cli = createCli({ DATABASE_URL: bouncer.url(name), QUEUE_BACKEND: 'postgres', ...env })
        const checks: CheckResult[] = JSON.parse((await cli.run('doctor', '-o', 'json')).stdout)
        return checks.find(({ check }) => check === 'Pooler')
      }
      expect(await examine({})).toMatchObject({
        result: 'warning',
        advice: expect.stringMatching(/^Set DATABASE_DIRECT_URL .* client_connection_check_interval/),
      })
      await database.pool.query(
        `ALTER ROLE tidings IN DATABASE ${name} SET client_connection_check_interval = '1s'`,
      )
      await bouncer.command('RECONNECT')
      expect(await examine({ DATABASE_DIRECT_URL: url })).toMatchObject({ result: 'ok' })
      expect(await examine({ DATABASE_URL: url })).toBeUndefined()
    })
  },
)
