import { queueBackendOf } from '@tidings/queue/backend'
import { countLostJobs } from '@tidings/queue/bullmq/lost-jobs'
import { openRedis } from '@tidings/queue/open-redis'
import { keyPrefixOf, shardNames } from '@tidings/queue/queue-names'
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
    // A cluster is read node by node, and knows its nodes only then.
    await waitUntilReady(redis)
    let lost = 0
    for (const name of shardNames(env.QUEUE_SHARDS))
      lost += await countLostJobs(redis, `${keyPrefixOf(backend, name)}:${name}:`)
    if (lost === 0) return []
    return [
      failure('Lost jobs', `${formatCount(lost)} in no list`, 'Start a worker again: it puts them back.'),
    ]
  } finally {
    redis.disconnect()
  }
}
