import { MAX_QUEUE_SHARDS } from '@tidings/runtime/env'
import type { Redis } from 'ioredis'
import pg from 'pg'
import { type QueueBackend, requireRedis, withQueueClient } from './backend.ts'
import { shardNames } from './policy.ts'

/** BullMQ's lists and sets of a queue's jobs; one that is empty is no key. */
const STATES = ['wait', 'paused', 'active', 'delayed', 'prioritized', 'failed']

/**
 * How many shards of the main queue are to be read: those asked for, and those that were in use before and hold jobs
 * still. Where QUEUE_SHARDS was lowered they would wait there for ever.
 *
 * @param redis an open connection, with the Redis backend.
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
    names.map((name) => redis.exists(...STATES.map((state) => `${prefix}:${name}:${state}`))),
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
