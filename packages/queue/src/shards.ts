import { MAX_QUEUE_SHARDS } from '@tidings/runtime/env'
import pg from 'pg'
import { type QueueBackend, type RedisBackend, requireRedis, withQueueClient } from './backend.ts'
import { REDIS_STATE_KEYS } from './bullmq/redis-layout.ts'
import type { RedisConnection } from './open-redis.ts'
import { deadLetterNames, isCluster, keyPrefixOf, shardNames } from './queue-names.ts'
import { unlessAway } from './unless-away.ts'

/**
 * The number of shards to read: the configured ones, and higher ones that still hold jobs. After QUEUE_SHARDS was
 * lowered, those jobs would otherwise wait for ever.
 *
 * @param redis an open connection; required for the Redis backend.
 * @param skipAway leaves out the higher shards of a master that does not answer. Without it that is an error.
 */
export async function findShards(
  backend: QueueBackend,
  redis: RedisConnection | undefined,
  shards: number,
  { skipAway = false } = {},
): Promise<number> {
  const others = shardNames(MAX_QUEUE_SHARDS).slice(shards)
  if (others.length === 0) return shards
  const hasJobs =
    backend.kind === 'postgres'
      ? await askPostgres(backend, others)
      : await askRedis(backend, requireRedis(redis), others, skipAway)
  return shards + hasJobs.lastIndexOf(true) + 1
}

/** On a cluster the dead letters of a shard count too: they are beside it. */
async function askRedis(
  backend: RedisBackend,
  redis: RedisConnection,
  names: readonly string[],
  skipAway: boolean,
): Promise<boolean[]> {
  const deadNames = isCluster(backend) ? deadLetterNames(backend, MAX_QUEUE_SHARDS).slice(-names.length) : []
  const counts = await Promise.all(
    names.map((name, index) => {
      const queues = [name, deadNames[index]].filter((queue) => queue !== undefined)
      const keys = queues.flatMap((queue) =>
        REDIS_STATE_KEYS.map((state) => `${keyPrefixOf(backend, queue)}:${queue}:${state}`),
      )
      const found = unlessAway(redis, redis.exists(...keys))
      return skipAway ? found.catch(() => 0) : found
    }),
  )
  return counts.map((keys) => keys > 0)
}

function askPostgres(
  backend: Extract<QueueBackend, { kind: 'postgres' }>,
  names: readonly string[],
): Promise<boolean[]> {
  const jobs = `${pg.escapeIdentifier(backend.schema)}.job`
  return withQueueClient(backend, async (client) => {
    const { rows } = await client.query<{ found: boolean }>(
      `SELECT EXISTS (SELECT FROM ${jobs} AS job WHERE job.queue = asked.name) AS found
       FROM unnest($1::text[]) WITH ORDINALITY AS asked(name, place) ORDER BY place`,
      [names],
    )
    return rows.map(({ found }) => found)
  })
}
