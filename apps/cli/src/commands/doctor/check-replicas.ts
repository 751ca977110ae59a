import { mastersOf, type RedisConnection } from '@tidings/queue/open-redis'
import { unlessForbidden } from '@tidings/queue/redis-rights'
import { answersOf, unlessAway } from '@tidings/queue/unless-away'
import { type CheckResult, failure, ok, warning } from './check-result.ts'

const REPLICAS = 'Replicas'

/** Looks whether each master has the replicas that the API waits for. Without ACK_REPLICAS there is nothing to check. */
export async function checkReplicas(redis: RedisConnection, wanted: number): Promise<CheckResult[]> {
  if (wanted === 0) return []
  const asked = mastersOf(redis).map(async (node) => {
    const info = await unlessAway(redis, unlessForbidden(node.info('replication')))
    return info === undefined ? undefined : Number(/connected_slaves:(\d+)/.exec(info)?.[1] ?? 0)
  })
  const counts = await answersOf(asked)
  const known = counts.filter((count) => count !== undefined)
  if (known.length < counts.length || known.length === 0)
    return [warning(REPLICAS, 'unknown: Redis does not let this user read INFO', 'Look at Redis itself.')]
  const fewest = Math.min(...known)
  if (fewest >= wanted) return [ok(REPLICAS, `${fewest} connected to each master`)]
  const found = `${fewest} connected, and ACK_REPLICAS is ${wanted}`
  return [
    failure(
      REPLICAS,
      found,
      'The API stores every event in PostgreSQL instead. Start replicas, or lower it.',
    ),
  ]
}
