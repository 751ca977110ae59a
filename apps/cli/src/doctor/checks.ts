import { countOutboxEvents } from '@tidings/db/events/event-outbox'
import { readSchemaVersion } from '@tidings/db/schema-version'
import { openRedis, queueBackendOf } from '@tidings/queue/backend'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { checkRedisDurability } from '@tidings/queue/durability'
import { readBalance } from '@tidings/queue/event-balance'
import type { CliContext } from '../context.ts'
import { isUnreachable, storeError } from '../exit-codes.ts'
import { formatAge, formatCount } from '../terminal/format.ts'
import { type CheckResult, failure, ok, warning } from './check-result.ts'

/** A waiting job older than this says that no worker takes jobs. In milliseconds. */
const OLD_JOB_MS = 60_000

const SCHEMA = 'Schema'

/**
 * Every check, also when an earlier one fails, as far as the tables it reads are there.
 *
 * @throws ConfigError
 */
export async function runChecks(context: CliContext): Promise<CheckResult[]> {
  // Without one every check would fail for the same reason.
  context.env()
  const results: CheckResult[] = [
    ...(await attempt('PostgreSQL', () => checkPostgres(context))),
    ...(await attempt('Queue', () => checkQueue(context))),
  ]
  if (results.some((check) => check.isUnreachable || isSchemaBehind(check))) return results
  return [...results, ...(await attempt('Accounting', () => checkBalance(context)))]
}

const isSchemaBehind = ({ check, result }: CheckResult) => check === SCHEMA && result === 'failure'

async function attempt(check: string, run: () => Promise<CheckResult[]>): Promise<CheckResult[]> {
  try {
    return await run()
  } catch (error) {
    return [
      {
        ...failure(check, storeError(error), 'Is it running? Is its URL right?'),
        isUnreachable: isUnreachable(error),
      },
    ]
  }
}

async function checkPostgres(context: CliContext): Promise<CheckResult[]> {
  const { pool } = await context.database()
  const { rows } = await pool.query<{ version: string; read_only: string }>(
    "SELECT current_setting('server_version') AS version, current_setting('transaction_read_only') AS read_only",
  )
  const server = rows[0]
  const { applied, known } = await readSchemaVersion(pool)
  const isBehind = applied < known
  return [
    server?.read_only === 'on'
      ? failure('PostgreSQL', `${server.version}, read-only`, 'Point DATABASE_URL at the primary.')
      : ok('PostgreSQL', server?.version ?? 'unknown'),
    isBehind
      ? failure(SCHEMA, `${applied} of ${known} migrations`, 'Run pnpm db:migrate.')
      : applied > known
        ? warning(SCHEMA, `${applied} migrations, this version knows ${known}`, 'Update this installation.')
        : ok(SCHEMA, `${applied} migrations, up to date`),
    ...(isBehind ? [] : [checkParked(await countOutboxEvents(pool))]),
  ]
}

function checkParked(parked: number): CheckResult {
  if (parked === 0) return ok('Parked events', '0')
  const advice = 'The worker takes them when Redis is back: is it running?'
  return warning('Parked events', formatCount(parked), advice)
}

async function checkQueue(context: CliContext): Promise<CheckResult[]> {
  const backend = queueBackendOf(context.env())
  const store = await context.deadLetters()
  const results: CheckResult[] = []
  if (backend.kind === 'redis') results.push(...(await checkRedis(backend.url)))
  else results.push(ok('Queue', `PostgreSQL, schema ${backend.schema}`))
  return [...results, ...(await checkDepth(store))]
}

async function checkRedis(url: string): Promise<CheckResult[]> {
  const redis = openRedis(url, 'operator', () => undefined)
  try {
    const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown'
    const problems = await checkRedisDurability(redis)
    return [
      ok('Queue', `Redis ${version}`),
      ...(problems.length === 0
        ? [ok('Durability', 'every acknowledged job survives a crash of Redis')]
        : []),
      ...problems.map(({ setting, found, wanted, why }) =>
        failure('Durability', `${setting} is ${found}`, `Set it to ${wanted}: ${why}.`),
      ),
    ]
  } finally {
    redis.disconnect()
  }
}

async function checkDepth(store: DeadLetterStore): Promise<CheckResult[]> {
  const { waiting, active, delayed, failed, oldestWaitingAt } = await store.depth()
  const dead = await store.count()
  const found = `${formatCount(waiting)} waiting, ${formatCount(active)} active, ${formatCount(delayed)} delayed`
  const isOld = oldestWaitingAt !== undefined && Date.now() - oldestWaitingAt.getTime() > OLD_JOB_MS
  return [
    isOld
      ? warning(
          'Main queue',
          `${found}, oldest ${formatAge(oldestWaitingAt.toISOString())}`,
          'Is a worker running?',
        )
      : ok('Main queue', found),
    failed > 0
      ? warning('Failed jobs', formatCount(failed), 'The worker makes dead letters of them: is it running?')
      : ok('Failed jobs', '0'),
    dead > 0
      ? warning('Dead letters', formatCount(dead), 'Look at them: tidings dlq groups')
      : ok('Dead letters', '0'),
  ]
}

async function checkBalance(context: CliContext): Promise<CheckResult[]> {
  const balance = await readBalance(await context.database(), await context.deadLetters())
  const { accepted, imported, stored, duplicate, dead, deleted, inFlight, missing, redelivered, inDoubt } =
    balance
  const n = formatCount
  const found =
    `${n(accepted)} accepted${imported > 0 ? ` + ${n(imported)} imported` : ''}; ${n(stored)} stored, ` +
    `${n(duplicate)} duplicate, ${n(dead)} dead, ${deleted > 0 ? `${n(deleted)} deleted, ` : ''}` +
    `${inFlight === undefined ? 'many' : n(inFlight)} in flight`
  if (missing === 0) return [ok('Accounting', found)]
  if (missing === undefined || (inFlight ?? 0) > 0)
    return [warning('Accounting', found, 'Events are on their way: look again when the queue is empty.')]
  if (missing > 0 && missing <= redelivered)
    return [
      warning(
        'Accounting',
        found,
        `${n(missing)} may be repeats among the ${n(redelivered)} events of jobs that were delivered twice.`,
      ),
    ]
  if (missing > 0)
    return [failure('Accounting', found, `${n(missing)} accepted events are nowhere. Keep all logs.`)]
  const more = -missing
  return [
    warning(
      'Accounting',
      found,
      more <= inDoubt
        ? `${n(more)} were found on both ways: the queue gave no answer in time for ${n(inDoubt)}, which were stored directly.`
        : `${n(more)} more than were booked: an API was killed before it could book what it had accepted, or a ` +
            'producer writes to the queue itself.',
    ),
  ]
}
