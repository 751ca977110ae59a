import { PooledConnectionError } from '@tidings/db/session-settings'
import { queueBackendOf, type RedisBackend } from '@tidings/queue/backend'
import type { DamagedDeadLetter } from '@tidings/queue/dead-letters/damage'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { checkRedisDurability, describeWanted } from '@tidings/queue/durability'
import { readEventBalance } from '@tidings/queue/event-balance'
import { mastersOf, openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { countJobs } from '@tidings/queue/queue-depth'
import { isCluster } from '@tidings/queue/queue-names'
import { readServerInfo } from '@tidings/queue/redis-rights'
import { tryWrites } from '@tidings/queue/try-write'
import { waitUntilReady } from '@tidings/queue/wait-until-ready'
import type { CliContext } from '../../context.ts'
import { isRefusal, isUnreachable, storeError } from '../../exit-codes.ts'
import { formatAge, formatCount } from '../../terminal/format.ts'
import { checkHooks, HOOKS } from './check-hooks.ts'
import { checkLostJobs } from './check-lost-jobs.ts'
import { checkPooler, POOLER } from './check-pooler.ts'
import { checkPostgres, SCHEMA } from './check-postgres.ts'
import { checkReplicas } from './check-replicas.ts'
import { type CheckResult, failure, ok, warning } from './check-result.ts'
import { checkStatistics, STATISTICS } from './check-statistics.ts'
import { findWriteProblem } from './find-write-problem.ts'

/** A job that waits longer than this shows that no worker takes jobs, in milliseconds. */
const OLD_JOB_MS = 60_000

const WORKERS = 'Workers'
const EVENTS = 'Events'

/** What is wrong with damaged dead letters, for people. */
export const DAMAGES: Readonly<Record<DamagedDeadLetter['damage'], string>> = {
  no_content: 'counted, but their content is gone',
  no_place: 'there, but in no list',
  other_type: 'keys of another type in their place',
}

/**
 * Runs every check, also after one failed. The report of events needs both stores and an up-to-date schema.
 *
 * @throws ConfigError
 */
export async function runChecks(context: CliContext): Promise<CheckResult[]> {
  // Throws first: without an environment every check would fail for the same reason.
  context.env()
  const postgres = await attempt('PostgreSQL', () => checkPostgres(context))
  const isAway = postgres.some((check) => check.isUnreachable)
  const results: CheckResult[] = [
    ...postgres,
    ...(isAway ? [] : await attempt(POOLER, () => checkPooler(context.env()))),
    ...(await attempt('Queue', () => checkQueue(context))),
  ]
  if (results.some((check) => check.isUnreachable || isSchemaBehind(check))) return results
  return [
    ...results,
    ...(await attempt(EVENTS, () => checkBalance(context))),
    ...(await attempt(STATISTICS, () => checkStatistics(context))),
    ...(await attempt(HOOKS, () => checkHooks(context))),
  ]
}

const isSchemaBehind = ({ check, result }: CheckResult) => check === SCHEMA && result === 'failure'

async function attempt(check: string, run: () => Promise<CheckResult[]>): Promise<CheckResult[]> {
  try {
    return await run()
  } catch (error) {
    return [
      {
        ...failure(check, storeError(error), adviceFor(error)),
        isUnreachable: isUnreachable(error),
      },
    ]
  }
}

function adviceFor(error: unknown): string {
  if (error instanceof PooledConnectionError) return 'See docs/postgres.md.'
  return isRefusal(error)
    ? 'Check the user, the password and the database in its URL.'
    : 'Is it running? Is its URL right? Does it want TLS?'
}

async function checkQueue(context: CliContext): Promise<CheckResult[]> {
  const backend = queueBackendOf(context.env())
  const store = await context.deadLetters()
  const results: CheckResult[] = []
  if (backend.kind === 'redis') results.push(...(await checkRedis(context, backend)))
  else results.push(ok('Queue', `PostgreSQL, schema ${backend.schema}`))
  return [...results, ...(await checkDepth(store)), ...(await checkLostJobs(context.env()))]
}

async function checkRedis(context: CliContext, backend: RedisBackend): Promise<CheckResult[]> {
  const redis = openRedis(backend, 'operator', () => undefined)
  try {
    await waitUntilReady(redis)
    const info = (await readServerInfo(redis)) ?? ''
    const server = `Redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? 'of unknown version'}`
    const masters = mastersOf(redis).length
    const version = isCluster(backend) ? `${server}, cluster of ${masters} masters` : server
    const writeProblem = await findWriteProblem(context, () => assertAllWritable(redis, backend, context))
    const { problems, unknown } = await checkRedisDurability(redis)
    return [
      writeProblem === undefined
        ? ok('Queue', version)
        : failure(
            'Queue',
            `${version}, takes no writes: ${writeProblem}`,
            isCluster(backend)
              ? 'Look at the masters of the cluster: one is away, read-only or full.'
              : 'Point REDIS_URL at the primary, or give Redis memory.',
          ),
      ...(await checkReplicas(redis, context.env().ACK_REPLICAS)),
      ...(problems.length + unknown.length === 0
        ? [ok('Durability', 'every acknowledged job survives a crash of Redis')]
        : []),
      ...problems.map(({ setting, found, wanted, why }) =>
        failure('Durability', `${setting} is ${found}`, `Set it to ${wanted}: ${why}.`),
      ),
      ...(unknown.length > 0
        ? [
            warning(
              'Durability',
              'unknown: Redis does not show its settings to this user',
              `Check that ${describeWanted(unknown)}.`,
            ),
          ]
        : []),
    ]
  } finally {
    redis.disconnect()
  }
}

/** @throws why one of the shards takes no writes. */
async function assertAllWritable(
  redis: RedisConnection,
  backend: RedisBackend,
  context: CliContext,
): Promise<void> {
  const problems = await tryWrites(redis, backend, context.env().QUEUE_SHARDS)
  const problem = problems.find((each) => each !== undefined)
  if (problem !== undefined) throw problem
}

async function checkDepth(store: DeadLetterStore): Promise<CheckResult[]> {
  const depth = await store.depth()
  const { waiting, active, delayed, failed, oldestWaitingAt } = depth
  const workers = await store.countWorkers()
  const dead = await store.count()
  const age = oldestWaitingAt === undefined ? '' : `, oldest ${formatAge(oldestWaitingAt.toISOString())}`
  const found = `${formatCount(waiting)} waiting, ${formatCount(active)} active, ${formatCount(delayed)} delayed${age}`
  const isOld = oldestWaitingAt !== undefined && Date.now() - oldestWaitingAt.getTime() > OLD_JOB_MS
  return [
    checkWorkers(workers, countJobs(depth)),
    isOld
      ? warning('Main queue', found, 'The workers take none, or are too few. Look at their logs.')
      : ok('Main queue', found),
    failed > 0
      ? warning('Failed jobs', formatCount(failed), 'The worker turns them into dead letters. Is it running?')
      : ok('Failed jobs', '0'),
    dead > 0
      ? warning('Dead letters', formatCount(dead), 'Look at them: tidings dlq groups')
      : ok('Dead letters', '0'),
    ...describeDamage(await store.findDamage()),
  ]
}

/** Ids that a check names. */
const MAX_NAMED = 3

function describeDamage(damaged: readonly DamagedDeadLetter[]): CheckResult[] {
  return [...Map.groupBy(damaged, ({ damage }) => damage)].map(([damage, letters]) => {
    const ids = letters.slice(0, MAX_NAMED).map(({ id }) => id)
    const others = letters.length > ids.length ? ` and ${formatCount(letters.length - ids.length)} more` : ''
    const found = `${DAMAGES[damage]}: ${ids.join(', ')}${others}`
    const advice =
      damage === 'other_type'
        ? 'Another program wrote these keys into the queue. Delete or rename them in Redis.'
        : 'Mend them: tidings doctor --repair'
    return failure('Damaged dead letters', found, advice)
  })
}

function checkWorkers(workers: number | undefined, jobs: number): CheckResult {
  if (workers === undefined)
    return warning(WORKERS, 'unknown: the store does not show its clients', 'Look at /health of each worker.')
  const found = `${formatCount(workers)} connected`
  if (workers > 0) return ok(WORKERS, found)
  const advice = 'Start a worker, with the QUEUE_PREFIX and QUEUE_SHARDS of the API.'
  return jobs === 0
    ? warning(WORKERS, found, advice)
    : failure(
        WORKERS,
        `${found}, and ${jobs === 1 ? '1 job waits' : `${formatCount(jobs)} jobs wait`}`,
        advice,
      )
}

/** Reports where the events are. A difference comes with what can explain it. It proves no loss. */
async function checkBalance(context: CliContext): Promise<CheckResult[]> {
  const store = await context.deadLetters()
  if (store.away.length > 0) return [warning(EVENTS, 'not counted', 'Some dead letters cannot be read.')]
  const { accepted, imported, stored, duplicate, dead, deleted, inFlight, difference } =
    await readEventBalance(await context.database(), store)
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
            'that was sent again while it was a dead letter counts twice. If Redis was emptied, restored or failed ' +
            'over, what only it held is gone. To see whether events arrive: tidings doctor --probe'
        : `${n(-difference)} more found than accepted: an API was killed before it wrote its counts, or a producer ` +
            'writes to the queue directly.',
    ),
  ]
}
