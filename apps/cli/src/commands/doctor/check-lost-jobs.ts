import { queueBackendOf } from '@tidings/queue/backend'
import { countLostJobs } from '@tidings/queue/bullmq/lost-jobs'
import { openRedis } from '@tidings/queue/open-redis'
import { keyPrefixOf, shardNames } from '@tidings/queue/queue-names'
import { answersOf } from '@tidings/queue/unless-away'
import { waitUntilReady } from '@tidings/queue/wait-until-ready'
import type { CliEnv } from '../../env.ts'
import { formatCount } from '../../terminal/format.ts'
import { type CheckResult, failure } from './check-result.ts'

/** Looks for jobs that are in no list, so that no worker takes them. On Redis only: PostgreSQL has no such lists. */
export async function checkLostJobs(env: CliEnv): Promise<CheckResult[]> {
  const backend = queueBackendOf(env)
  if (backend.kind !== 'redis') return []
  const redis = openRedis(backend, 'operator', () => undefined)
  try {
    await waitUntilReady(redis)
    const counts = shardNames(env.QUEUE_SHARDS).map(async (name) =>
      countLostJobs(redis, `${keyPrefixOf(backend, name)}:${name}:`),
    )
    const lost = (await answersOf(counts)).reduce((sum, jobs) => sum + jobs, 0)
    if (lost === 0) return []
    return [
      failure('Lost jobs', `${formatCount(lost)} in no list`, 'Start a worker again: it puts them back.'),
    ]
  } finally {
    redis.disconnect()
  }
}
