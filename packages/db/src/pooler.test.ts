import { findProgram } from '@tidings/stack/servers/find-program'
import { type Pgbouncer, startPgbouncer } from '@tidings/stack/servers/pgbouncer'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createDirectDatabase,
  makeTestFolder,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Database, type DatabaseOptions, openDatabase } from './database.ts'
import { UserImport } from './django/import-users.ts'
import { classifyFailure } from './failure.ts'
import { migrateDatabase } from './migrate.ts'
import { users } from './schema/users.ts'

const program = findProgram('pgbouncer', process.env.PATH)
const lastReleaser = useReleaser()
const MODES = ['session', 'transaction'] as const

describe.skipIf(program === undefined).for(MODES)(
  `behind PgBouncer in %s mode${program ? '' : ': NO PGBOUNCER ON THE PATH'}`,
  (poolMode) => {
    const releaser = useReleaser()
    let direct: TestDatabase
    let bouncer: Pgbouncer
    let url: string
    beforeAll(async () => {
      direct = await createDirectDatabase(releaser)
      bouncer = releaser.add(
        await startPgbouncer({
          dataDir: await makeTestFolder(releaser),
          program: program ?? '',
          target: direct.url,
          poolMode,
          poolSize: 2,
        }),
        (started) => started.stop(),
      )
      url = bouncer.url(new URL(direct.url).pathname.slice(1))
    })

    /** Runs work with `count` pools of this database through PgBouncer, and closes them. */
    async function withPools<Result>(
      count: number,
      work: (...databases: [Database, ...Database[]]) => Promise<Result>,
      options: Partial<DatabaseOptions> = {},
    ): Promise<Result> {
      const open = () =>
        openDatabase({
          url,
          applicationName: 'pooled',
          maxConnections: 1,
          statementTimeoutMs: 4_321,
          onError: () => {},
          ...options,
        })
      const databases: [Database, ...Database[]] = [open(), ...Array.from({ length: count - 1 }, open)]
      try {
        return await work(...databases)
      } finally {
        await Promise.all(databases.map((database) => database.close()))
      }
    }

    const readTimeout = async ({ pool }: Database) =>
      (await pool.query<{ statement_timeout: string }>('SHOW statement_timeout')).rows[0]?.statement_timeout

    it('clients leave no setting behind', async () => {
      const seen = await withPools(2, async (...databases) => Promise.all(databases.map(readTimeout)))
      expect(seen).toEqual(['0', '0'])
      expect(await readTimeout(direct.database)).toBe('15s')
    })

    it('named statements of many clients work on few server connections', async () => {
      const ask = async ({ pool, orm }: Database, n: number) => {
        const { rows } = await pool.query<{ n: number }>({
          name: 'echo',
          text: 'SELECT $1::int AS n',
          values: [n],
        })
        const isNobody = eq(users.email, 'nobody')
        const found = await orm.select().from(users).where(isNobody).prepare('by-email').execute()
        return [rows[0]?.n, found.length]
      }
      const asked = Array.from({ length: 100 }, (_, n) => n)
      const answers = await withPools(
        5,
        (first, ...others) =>
          Promise.all(asked.map((n) => ask([first, ...others][n % (others.length + 1)] ?? first, n))),
        { connectTimeoutMs: 30_000 },
      )
      expect(answers).toEqual(asked.map((n) => [n, 0]))
    })

    it('no client keeps a connection from the others, idle or busy', async () => {
      await withPools(
        4,
        async (idle, last, ...busy) => {
          await idle.pool.query('SELECT 1')
          let isAnswered = false
          const askOnAndOn = async ({ pool }: Database) => {
            while (!isAnswered) await pool.query('SELECT 1')
          }
          const asking = busy.map(askOnAndOn)
          const answer = await last.pool.query('SELECT 1 AS one').finally(() => {
            isAnswered = true
          })
          expect(answer.rows).toEqual([{ one: 1 }])
          await Promise.all(asking)
        },
        { connectTimeoutMs: 30_000 },
      )
    })

    it('a client that finds no connection gives up when its time to connect is over', async () => {
      await withPools(
        3,
        async (third, ...others) => {
          const held = await Promise.all(others.map(({ pool }) => pool.connect()))
          for (const client of held) await client.query('BEGIN')
          expect(await classify(third.pool.query('SELECT 1'))).toBe('outage')
          for (const client of held) {
            await client.query('ROLLBACK')
            client.release()
          }
        },
        { connectTimeoutMs: 500, queryTimeoutMs: 300_000 },
      )
    })

    it('a migration leaves no lock behind', async () => {
      await migrateDatabase(url)
      await migrateDatabase(url)
      const { rows } = await direct.database.pool.query(
        `SELECT count(*)::int AS locks FROM pg_locks WHERE locktype = 'advisory'
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      )
      expect(rows).toEqual([{ locks: 0 }])
    })

    it('an import of users, which needs temporary tables, is refused with the reason', async () => {
      await expect(UserImport.open(url)).rejects.toThrow('Set DATABASE_DIRECT_URL')
    })

    it('PostgreSQL ends the statement of a client that gave up', async () => {
      const { username, pathname } = new URL(direct.url)
      await direct.database.pool.query(
        `ALTER ROLE ${username} IN DATABASE ${pathname.slice(1)} SET client_connection_check_interval = '100ms'`,
      )
      await bouncer.command('RECONNECT')
      await withPools(
        1,
        async ({ pool }) => {
          expect(await classify(pool.query('SELECT pg_sleep(60)'))).toBe('outage')
          await waitFor('the end of the statement', async () => {
            const { rows } = await direct.database.pool.query(
              "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
            )
            return rows.length === 0
          })
          expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
        },
        { queryTimeoutMs: 700 },
      )
    })

    it('a transaction whose statement took too long does not hold up the next one', async () => {
      await withPools(
        1,
        async ({ pool, orm }) => {
          const failed = orm.transaction((tx) => tx.execute('SELECT pg_sleep(60)'))
          expect(await classify(failed)).toBe('outage')
          expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
        },
        { queryTimeoutMs: 700 },
      )
    })

    it('a pause, a kill and an absent database are outages', async () => {
      await withPools(
        1,
        async ({ pool }) => {
          await pool.query('SELECT 1')
          if (poolMode === 'transaction') {
            await bouncer.command('PAUSE')
            expect(await classify(pool.query('SELECT 1'))).toBe('outage')
            await bouncer.command('RESUME')
          }
          await bouncer.kill9()
          expect(await classify(pool.query('SELECT 1'))).toBe('outage')
          await bouncer.start()
          expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
        },
        { queryTimeoutMs: 700 },
      )
      const absent = bouncer.url('absent_database')
      await withPools(1, async ({ pool }) => expect(await classify(pool.query('SELECT 1'))).toBe('outage'), {
        url: absent,
      })
    })
  },
)

it.skipIf(program === undefined).for([
  ['lets no more clients in', { max_client_conn: 1 }],
  ['ends what waits too long', { query_wait_timeout: 1 }],
] as const)('a PgBouncer that %s is an outage', async ([, settings]) => {
  const { url } = await createDirectDatabase(lastReleaser)
  const bouncer = lastReleaser.add(
    await startPgbouncer({
      dataDir: await makeTestFolder(lastReleaser),
      program: program ?? '',
      target: url,
      poolMode: 'transaction',
      poolSize: 1,
      settings,
    }),
    (started) => started.stop(),
  )
  const open = () =>
    lastReleaser.add(
      openDatabase({
        url: bouncer.url(new URL(url).pathname.slice(1)),
        applicationName: 'refused',
        maxConnections: 1,
        connectTimeoutMs: 30_000,
        onError: () => {},
      }),
      (database) => database.close(),
    )
  const holder = await open().pool.connect()
  await holder.query('BEGIN')
  const refused = open().pool.query('SELECT 1')
  await expect(refused).rejects.toMatchObject({ code: '08P01' })
  expect(await classify(refused)).toBe('outage')
  await holder.query('ROLLBACK')
  holder.release()
})

const classify = (query: Promise<unknown>) =>
  query.then(
    () => 'none',
    (error: unknown) => classifyFailure(error),
  )
