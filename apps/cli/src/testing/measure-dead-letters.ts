import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrateDatabase } from '@tidings/db/migrate'
import { openQueue } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { createDatabase, startPostgres } from '@tidings/stack/servers/postgres'
import { requireRedisServer, startRedis } from '@tidings/stack/servers/redis'
import { createCli, linesOf } from './cli-process.ts'

/*
 * Measures the figures of docs/dead-letters.md:
 *
 *   node apps/cli/src/testing/measure-dead-letters.ts [entries] [bytes of each]
 *
 * It starts a private PostgreSQL, a private durable Redis, and one process for each command.
 */
const count = Number(process.argv[2] ?? 200_000)
/** Bytes added to the usual fields of each event. */
const bytesEach = Number(process.argv[3] ?? 0)
const SLOW_CALL_MS = 50
const ERRORS = ['lock timeout on row', 'statement timeout after', 'deadlock with process', 'disk full, block']

const dataDir = await mkdtemp(join(tmpdir(), 'tidings-measure-'))
await chmod(dataDir, 0o755)
const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres'), durable: false })
await createDatabase(postgres.adminUrl, 'measure')
await migrateDatabase(postgres.url('measure'))
const server = await startRedis({
  dataDir: join(dataDir, 'redis'),
  server: requireRedisServer(process.env.PATH),
  settings: { 'slowlog-log-slower-than': SLOW_CALL_MS * 1_000, 'slowlog-max-len': 1_000 },
})
const redis = openRedis(server, 'patient', (error) => process.stderr.write(`${error.message}\n`))
try {
  await seed()
  await redis.config('RESETSTAT')
  const usedMb = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]) / 2 ** 20
  process.stdout.write(`${count} dead letters, ${Math.round(usedMb)} MB in Redis\n`)
  await measure('list, first page', 'dlq', 'list', '-o', 'id')
  await measure('list, sorted by redrives', 'dlq', 'list', '-o', 'id', '--sort', 'redrives')
  await measure('groups', 'dlq', 'groups', '-o', 'id')
  await measure('stats', 'dlq', 'stats', '-o', 'json')
  await measure('export', 'dlq', 'export', join(dataDir, 'export.ndjson'))
  await measure('redrive --all', 'dlq', 'redrive', '--all', '--yes')
  await measure('doctor, all of it queued', 'doctor')
  await measure('import', 'dlq', 'import', join(dataDir, 'export.ndjson'))
  await measure('delete --all', 'dlq', 'delete', '--all', '--yes')
} finally {
  redis.disconnect()
  await server.stop()
  await postgres.stop()
  await rm(dataDir, { recursive: true, force: true })
}

async function seed(): Promise<void> {
  const backend = { kind: 'redis', url: server.url, prefix: 'tidings' } as const
  const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => undefined })
  const atOnce = Math.max(1, Math.min(500, Math.floor(2 ** 23 / bytesEach)))
  const fields = bytesEach > 0 ? { metadata: { page: 'x'.repeat(bytesEach) } } : {}
  for (let done = 0; done < count; done += atOnce) {
    const failedEvents = Array.from({ length: Math.min(atOnce, count - done) }, (_, n) =>
      makeFailedEvent({
        fields,
        reason: 'retries_exhausted',
        error: { code: `5500${n % 4}`, message: `${ERRORS[n % 4]} ${done + n}` },
        redrives: n % 3,
      }),
    )
    await bury(queue, failedEvents)
  }
  await queue.close()
}

/** Runs one command. Prints wall time, the largest resident set, and the slow calls of Redis. */
async function measure(label: string, ...args: string[]): Promise<void> {
  await redis.call('SLOWLOG', 'RESET')
  const cli = createCli({ DATABASE_URL: postgres.url('measure'), REDIS_URL: server.url })
  const startedAt = performance.now()
  const { child, ended } = cli.start(...args)
  let peakKb = 0
  const timer = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
    peakKb = Math.max(peakKb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0))
  }, 50)
  const run = await ended
  clearInterval(timer)
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(2)
  const said = linesOf(run.stderr).at(-1) ?? ''
  process.stdout.write(
    `${label.padEnd(26)} ${seconds.padStart(8)} s  ${Math.round(peakKb / 1_024)} MB  exit ${run.exitCode}  ${said}\n`,
  )
  for (const call of await slowCalls()) process.stdout.write(`  over ${SLOW_CALL_MS} ms: ${call}\n`)
}

/** The slow log of Redis, without waits for its disk: `120 ms EVALSHA …`. */
async function slowCalls(): Promise<string[]> {
  const log = (await redis.call('SLOWLOG', 'GET', '-1')) as [number, number, number, string[]][]
  return log.map(([, , micros, words]) => `${Math.round(micros / 1_000)} ms ${words.slice(0, 3).join(' ')}`)
}
