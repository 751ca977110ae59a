import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, openDatabase } from '@tidings/db/database'
import { classifyFailure, sqlState } from '@tidings/db/failure'
import { findProgram } from '@tidings/stack/servers/find-program'
import { type Pgbouncer, startPgbouncer } from '@tidings/stack/servers/pgbouncer'
import { withClient } from '@tidings/stack/servers/postgres'
import { inheritedEnv } from '../env.ts'
import { type Check, check, type Row, runUnderLoad, type Stage } from '../row.ts'
import { readStores } from '../settle.ts'
import type { System } from '../system.ts'

/** Clients of PgBouncer beside the apps. Each reads with a named statement all the time. */
const CLIENTS = 200
const PAUSE_MS = 3_000

export const pgbouncerRows: Row[] = [
  bouncerRow('transaction', { poolSize: 10, clients: CLIENTS, short: true }),
  bouncerRow('transaction', { poolSize: 10, clients: CLIENTS, queue: 'postgres' }),
  // Every client keeps a connection: 20 of each API and 7 of each worker.
  bouncerRow('session', { poolSize: 60, clients: 0 }),
]

interface BouncerOptions {
  poolSize: number
  clients: number
  queue?: 'postgres'
  short?: boolean
}

function bouncerRow(poolMode: 'session' | 'transaction', options: BouncerOptions): Row {
  const { poolSize, clients, queue = 'redis', short = false } = options
  const suffix = queue === 'postgres' ? '-queue' : ''
  return {
    name: `pgbouncer-${poolMode}${suffix}`,
    fault: `PgBouncer, ${poolMode} mode, ${poolSize} connections${suffix && ', PostgreSQL queue'}: ${poolMode === 'transaction' ? 'PAUSE, ' : ''}RECONNECT, kill -9`,
    short,
    queue,
    async run(stage) {
      const bouncer = await startPgbouncer({
        dataDir: join(stage.servers.dir, `pgbouncer-${randomUUID().slice(0, 8)}`),
        program: findProgram('pgbouncer', inheritedEnv().PATH) ?? '',
        target: stage.servers.postgres.adminUrl,
        poolMode,
        poolSize,
      })
      try {
        return await runBehind(stage, bouncer, poolMode, { poolSize, clients })
      } finally {
        await bouncer.stop()
      }
    },
  }
}

function runBehind(
  stage: Stage,
  bouncer: Pgbouncer,
  poolMode: 'session' | 'transaction',
  { poolSize, clients }: Pick<BouncerOptions, 'poolSize' | 'clients'>,
): Promise<Check[]> {
  const { postgres } = stage.servers
  const envFor = (name: string) => ({
    DATABASE_URL: bouncer.url(name),
    DATABASE_DIRECT_URL: postgres.url(name),
  })
  const before = async ({ databaseName }: System) =>
    withClient(postgres.url(databaseName), async (client) => {
      await client.query(
        `ALTER ROLE tidings IN DATABASE ${databaseName} SET client_connection_check_interval = '1s'`,
      )
    })
  return runUnderLoad(stage, { apis: 2, workers: 2, envFor, before }, async ({ system }) => {
    const readers = startReaders(bouncer.url(system.databaseName), clients)
    const most = watchConnections(system)
    for (let round = 1; round <= (stage.short ? 1 : 5); round++) {
      stage.progress(`round ${round}`)
      await sleep(1_000)
      // In session mode it would wait until every client has left.
      if (poolMode === 'transaction') {
        await bouncer.command('PAUSE')
        await sleep(PAUSE_MS)
        await bouncer.command('RESUME')
      }
      await sleep(500)
      await bouncer.command('RECONNECT')
      await sleep(500)
      await bouncer.kill9()
      await sleep(500)
      await bouncer.start()
    }
    await sleep(1_000)
    const { deadLetters } = await readStores(system)
    return [
      check('0 dead letters', deadLetters.size === 0, deadLetters.size),
      ...(await readers.stop()),
      await most.stop(poolSize),
      await checkLogs(system),
    ]
  })
}

/** Clients that ask with one named statement and check the answers. Outages are expected; other errors are not. */
function startReaders(url: string, count: number) {
  let isStopped = false
  let answers = 0
  const wrong = new Map<string, number>()
  const read = async (database: Database, client: number) => {
    for (let n = 0; !isStopped; n++) {
      try {
        const { rows } = await database.pool.query<{ answer: string; timeout: string }>({
          name: 'echo',
          text: "SELECT $1::text AS answer, current_setting('statement_timeout') AS timeout",
          values: [`${client}-${n}`],
        })
        if (rows[0]?.answer !== `${client}-${n}` || rows[0].timeout !== '0') note('another answer')
        else answers++
      } catch (error) {
        if (classifyFailure(error) !== 'outage') note(sqlState(error) ?? String(error))
      }
      await sleep(250)
    }
  }
  const note = (what: string) => void wrong.set(what, (wrong.get(what) ?? 0) + 1)
  const databases = Array.from({ length: count }, () =>
    openDatabase({ url, applicationName: 'reader', maxConnections: 1, onError: () => {} }),
  )
  const running = databases.map(read)
  return {
    async stop(): Promise<Check[]> {
      isStopped = true
      await Promise.all(running)
      await Promise.all(databases.map((database) => database.close()))
      const seen = [...wrong].map(([what, times]) => `${what}: ${times}`).join(', ')
      if (count === 0) return []
      return [
        check(`${count} clients get their own answers`, wrong.size === 0 && answers > 0, seen || answers),
      ]
    },
  }
}

/** Counts the connections through PgBouncer: those that are not the harness's, nor BullMQ's direct ones. */
function watchConnections(system: System) {
  let most = 0
  let isStopped = false
  const count = async () => {
    while (!isStopped) {
      const { rows } = await system.db.pool.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database()
           AND application_name IN ('tidings-api', 'tidings-api-direct', 'tidings-worker', 'reader')`,
      )
      most = Math.max(most, rows[0]?.count ?? 0)
      await sleep(100)
    }
  }
  const running = count()
  return {
    async stop(poolSize: number): Promise<Check> {
      isStopped = true
      await running
      return check(`connections of PostgreSQL ≤ ${poolSize}`, most <= poolSize && most > 0, most)
    },
  }
}

/** 26000 and 42P05: a prepared statement is unknown, or there already. */
async function checkLogs(system: System): Promise<Check> {
  const logs = await Promise.all([...system.apis, ...system.workers].map((app) => app.readLog()))
  const found = logs
    .flatMap((log) => log.split('\n'))
    .find((line) => /prepared statement|26000|42P05|startup parameter/.test(line))
  return check('no broken statement in a log', found === undefined, found?.slice(0, 300) ?? 'none')
}
