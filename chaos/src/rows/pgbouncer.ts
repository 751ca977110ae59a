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

/** Clients of PgBouncer beside the apps. Each reads with a named statement again and again. */
const CLIENTS = 200
const POOL_SIZE = 10
const PAUSE_MS = 3_000

type PoolMode = 'session' | 'transaction'

export const pgbouncerRows: Row[] = [
  bouncerRow('transaction'),
  bouncerRow('transaction', 'postgres'),
  bouncerRow('session'),
]

function bouncerRow(poolMode: PoolMode, queue: 'redis' | 'postgres' = 'redis'): Row {
  const suffix = queue === 'postgres' ? '-queue' : ''
  return {
    name: `pgbouncer-${poolMode}${suffix}`,
    fault: `PgBouncer, ${poolMode} mode, ${POOL_SIZE} connections${suffix && ', PostgreSQL queue'}: PAUSE, RECONNECT, kill -9`,
    short: queue === 'redis',
    queue,
    async run(stage) {
      const bouncer = await startPgbouncer({
        dataDir: join(stage.servers.dir, `pgbouncer-${randomUUID().slice(0, 8)}`),
        program: findProgram('pgbouncer', inheritedEnv().PATH) ?? '',
        target: stage.servers.postgres.adminUrl,
        poolMode,
        poolSize: POOL_SIZE,
      })
      try {
        return await runBehind(stage, bouncer, poolMode)
      } finally {
        await bouncer.stop()
      }
    },
  }
}

function runBehind(stage: Stage, bouncer: Pgbouncer, poolMode: PoolMode): Promise<Check[]> {
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
  return runUnderLoad(stage, { apis: 2, workers: 2, envFor, before }, async ({ system, ledger }) => {
    const clients = startClients(bouncer.url(system.databaseName), poolMode)
    const readers = startReaders(system, () => ledger.acknowledged())
    const most = watchConnections(system)
    for (let round = 1; round <= (stage.short ? 1 : 5); round++) {
      stage.progress(`round ${round}`)
      await sleep(1_000)
      // In session mode it waits until every client has left.
      await bouncer.command('PAUSE')
      await sleep(PAUSE_MS)
      await bouncer.command('RESUME')
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
      await clients.stop(),
      ...(await readers.stop()),
      await most.stop(),
      await checkLogs(system),
    ]
  })
}

/**
 * Clients that ask with one named statement and check the answers. Outages are expected; other errors are not. In session
 * mode a client that stays would keep a connection for itself: each leaves after its answer.
 */
function startClients(url: string, poolMode: PoolMode) {
  let isStopped = false
  let answers = 0
  const wrong = new Map<string, number>()
  const note = (what: string) => void wrong.set(what, (wrong.get(what) ?? 0) + 1)
  const open = () => openDatabase({ url, applicationName: 'client', maxConnections: 1, onError: () => {} })
  const ask = async ({ pool }: Database, question: string) => {
    try {
      const { rows } = await pool.query<{ answer: string; timeout: string }>({
        name: 'echo',
        text: "SELECT $1::text AS answer, current_setting('statement_timeout') AS timeout",
        values: [question],
      })
      if (rows[0]?.answer !== question || rows[0].timeout !== '0') note('another answer')
      else answers++
    } catch (error) {
      if (classifyFailure(error) !== 'outage') note(sqlState(error) ?? String(error))
    }
  }
  const run = async (client: number) => {
    let database = open()
    for (let n = 0; !isStopped; n++) {
      await ask(database, `${client}-${n}`)
      if (poolMode === 'session') {
        await database.close()
        database = open()
      }
      await sleep(poolMode === 'session' ? 2_000 : 250)
    }
    await database.close()
  }
  const running = Array.from({ length: CLIENTS }, (_, client) => run(client))
  return {
    async stop(): Promise<Check> {
      isStopped = true
      await Promise.all(running)
      const seen = [...wrong].map(([what, times]) => `${what}: ${times}`).join(', ')
      return check(
        `${CLIENTS} clients get their own answers`,
        wrong.size === 0 && answers > 0,
        seen || answers,
      )
    },
  }
}

/** Reads notifications through the APIs, as users do. */
function startReaders(system: System, acknowledged: () => readonly string[]) {
  let isStopped = false
  let slowestMs = 0
  const answers = new Map<number, number>()
  const run = async (base: string) => {
    while (!isStopped) {
      const id = acknowledged()[0] ?? 'none'
      const startedAt = performance.now()
      const status = await fetch(`${base}/api/v1/notifications/${id}/`, {
        headers: { authorization: `Bearer ${system.serviceKey}` },
      }).then(
        (answer) => answer.status,
        () => 0,
      )
      slowestMs = Math.max(slowestMs, performance.now() - startedAt)
      answers.set(status, (answers.get(status) ?? 0) + 1)
      await sleep(100)
    }
  }
  const running = system.apis.map(({ url }) => run(url))
  return {
    async stop(): Promise<Check[]> {
      isStopped = true
      await Promise.all(running)
      const seen = [...answers].map(([status, times]) => `${status}: ${times}`).join(', ')
      return [
        check(
          'reads get 200, 404 or 503',
          [...answers.keys()].every((s) => [200, 404, 503].includes(s)),
          seen,
        ),
        check('slowest read', true, `${Math.round(slowestMs)} ms`),
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
      const counted = await system.db.pool
        .query<{ count: number }>(
          `SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database()
             AND application_name IN ('tidings-api', 'tidings-api-direct', 'tidings-worker', 'client')`,
        )
        // On a busy machine the harness may not connect in time.
        .catch(() => undefined)
      most = Math.max(most, counted?.rows[0]?.count ?? 0)
      await sleep(100)
    }
  }
  const running = count()
  return {
    async stop(): Promise<Check> {
      isStopped = true
      await running
      // Those of a killed PgBouncer end while those of the next one begin.
      const limit = 2 * POOL_SIZE
      return check(`connections of PostgreSQL ≤ ${limit}`, most <= limit && most > 0, most)
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
