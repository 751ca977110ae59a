import { countOutboxEvents } from '@tidings/db/events/event-outbox'
import { addIngestCounts } from '@tidings/db/events/ingest-counters'
import { readSchemaVersion } from '@tidings/db/schema-version'
import { openRedis, queueBackendOf } from '@tidings/queue/backend'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { checkRedisDurability } from '@tidings/queue/durability'
import { readEventBalance } from '@tidings/queue/event-balance'
import { tryWrite } from '@tidings/queue/try-write'
import type { CliContext } from '../../context.ts'
import { isUnreachable, storeError } from '../../exit-codes.ts'
import { formatAge, formatCount } from '../../terminal/format.ts'
import { type CheckResult, failure, ok, warning } from './check-result.ts'

/** A job that waits longer than this shows that no worker takes jobs, in milliseconds. */
const OLD_JOB_MS = 60_000

const SCHEMA = 'Schema'
const EVENTS = 'Events'

/**
 * Runs every check, also after one failed. The report of events needs both stores and an up-to-date schema.
 *
 * @throws ConfigError
 */
export async function runChecks(context: CliContext): Promise<CheckResult[]> {
  // Throws first: without an environment every check would fail for the same reason.
  context.env()
  const results: CheckResult[] = [
    ...(await attempt('PostgreSQL', () => checkPostgres(context))),
    ...(await attempt('Queue', () => checkQueue(context))),
  ]
  if (results.some((check) => check.isUnreachable || isSchemaBehind(check))) return results
  return [...results, ...(await attempt(EVENTS, () => checkBalance(context)))]
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

/**
 * Tries a small write: a read-only replica and a full store answer reads.
 *
 * @returns the reason when the store refuses it. Undefined when it is written, and where this command may not write.
 */
async function findWriteProblem(
  context: CliContext,
  write: () => Promise<void>,
): Promise<string | undefined> {
  try {
    context.assertWritable()
  } catch {
    return undefined
  }
  try {
    await write()
    return undefined
  } catch (error) {
    return storeError(error)
  }
}

async function checkPostgres(context: CliContext): Promise<CheckResult[]> {
  const db = await context.database()
  const { rows } = await db.pool.query<{ version: string; read_only: string }>(
    "SELECT current_setting('server_version') AS version, current_setting('transaction_read_only') AS read_only",
  )
  const server = rows[0]
  const { applied, known } = await readSchemaVersion(db)
  const isBehind = applied < known
  const version = server?.version ?? 'unknown'
  const isReadOnly = server?.read_only === 'on'
  const problem =
    isBehind || isReadOnly
      ? undefined
      : await findWriteProblem(context, () => addIngestCounts(db, { accepted: 0 }))
  return [
    isReadOnly
      ? failure('PostgreSQL', `${version}, read-only`, 'Point DATABASE_URL at the primary.')
      : problem !== undefined
        ? failure('PostgreSQL', `${version}, takes no writes: ${problem}`, 'Jobs wait until it does.')
        : ok('PostgreSQL', version),
    isBehind
      ? failure(SCHEMA, `${applied} of ${known} migrations`, 'Run pnpm db:migrate.')
      : applied > known
        ? warning(SCHEMA, `${applied} migrations, this version knows ${known}`, 'Update this installation.')
        : ok(SCHEMA, `${applied} migrations, up to date`),
    ...(isBehind ? [] : [checkOutbox(await countOutboxEvents(db))]),
  ]
}

function checkOutbox(waiting: number): CheckResult {
  if (waiting === 0) return ok('Outbox', '0')
  const advice = 'The worker publishes them when Redis is back. Is it running?'
  return warning('Outbox', formatCount(waiting), advice)
}

async function checkQueue(context: CliContext): Promise<CheckResult[]> {
  const backend = queueBackendOf(context.env())
  const store = await context.deadLetters()
  const results: CheckResult[] = []
  if (backend.kind === 'redis') results.push(...(await checkRedis(context, backend)))
  else results.push(ok('Queue', `PostgreSQL, schema ${backend.schema}`))
  return [...results, ...(await checkDepth(store))]
}

async function checkRedis(
  context: CliContext,
  { url, prefix }: { url: string; prefix: string },
): Promise<CheckResult[]> {
  const redis = openRedis(url, 'operator', () => undefined)
  try {
    const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown'
    const writeProblem = await findWriteProblem(context, () => tryWrite(redis, prefix))
    const problems = await checkRedisDurability(redis)
    return [
      writeProblem === undefined
        ? ok('Queue', `Redis ${version}`)
        : failure(
            'Queue',
            `Redis ${version}, takes no writes: ${writeProblem}`,
            'Point REDIS_URL at the primary, or give Redis memory.',
          ),
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
      ? warning('Failed jobs', formatCount(failed), 'The worker turns them into dead letters. Is it running?')
      : ok('Failed jobs', '0'),
    dead > 0
      ? warning('Dead letters', formatCount(dead), 'Look at them: tidings dlq groups')
      : ok('Dead letters', '0'),
  ]
}

/** Reports where the events are. A difference comes with what can explain it. It proves no loss. */
async function checkBalance(context: CliContext): Promise<CheckResult[]> {
  const { accepted, imported, stored, duplicate, dead, deleted, inFlight, difference } =
    await readEventBalance(await context.database(), await context.deadLetters())
  const n = formatCount
  const found =
    `${n(accepted)} accepted${imported > 0 ? ` + ${n(imported)} imported` : ''}; ${n(stored)} stored, ` +
    `${n(duplicate)} duplicate, ${n(dead)} dead, ${deleted > 0 ? `${n(deleted)} deleted, ` : ''}` +
    `${inFlight === undefined ? 'many' : n(inFlight)} in flight`
  if (difference === 0) return [ok(EVENTS, found)]
  if (difference === undefined || (inFlight ?? 0) > 0)
    return [warning(EVENTS, found, 'Events are in flight: run doctor again when the queue is empty.')]
  return [
    warning(
      EVENTS,
      found,
      difference > 0
        ? `${n(difference)} more accepted than found. A killed process or command loses its last counts, and an event ` +
            'that was sent again while it was a dead letter counts twice. To see whether events arrive: ' +
            'tidings doctor --probe'
        : `${n(-difference)} more found than accepted: an API was killed before it wrote its counts, or a producer ` +
            'writes to the queue directly.',
    ),
  ]
}
