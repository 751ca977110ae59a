import { MAX_QUEUE_SHARDS } from '@tidings/runtime/env'
import type { Redis } from 'ioredis'
import pg from 'pg'
import { type QueueBackend, requireRedis, withQueueClient } from './backend.ts'
import { REDIS_STATE_KEYS } from './bullmq/redis-layout.ts'
import { shardNames } from './policy.ts'

/**
 * The number of shards to read: the configured ones, and higher ones that still hold jobs. After QUEUE_SHARDS was
 * lowered, those jobs would otherwise wait for ever.
 *
 * @param redis an open connection; required for the Redis backend.
 */
export async function findShards(
  backend: QueueBackend,
  redis: Redis | undefined,
  shards: number,
): Promise<number> {
  const others = shardNames(MAX_QUEUE_SHARDS).slice(shards)
  if (others.length === 0) return shards
  const hasJobs =
    backend.kind === 'postgres'
      ? await askPostgres(backend, others)
      : await askRedis(backend, requireRedis(redis), others)
  return shards + hasJobs.lastIndexOf(true) + 1
}

async function askRedis(
  { prefix }: { prefix: string },
  redis: Redis,
  names: readonly string[],
): Promise<boolean[]> {
  const counts = await Promise.all(
    names.map((name) => redis.exists(...REDIS_STATE_KEYS.map((state) => `${prefix}:${name}:${state}`))),
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
