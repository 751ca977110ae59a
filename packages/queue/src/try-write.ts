import type { RedisBackend } from './backend.ts'
import type { RedisConnection } from './open-redis.ts'
import { keyPrefixOf, shardNames } from './queue-names.ts'

const LIFETIME_SECONDS = 60

/**
 * Writes one small key for each shard on a cluster, otherwise one, to find out whether Redis takes writes. A read-only
 * replica and a Redis with full memory answer PING.
 *
 * @returns for each key undefined, or why it cannot be written: Redis's reply, such as `READONLY` or `OOM`, or the
 *   error of the connection.
 */
export async function tryWrites(
  redis: RedisConnection,
  backend: RedisBackend,
  shards: number,
): Promise<unknown[]> {
  const prefixes = new Set(shardNames(shards).map((name) => keyPrefixOf(backend, name)))
  const written = await Promise.allSettled(
    [...prefixes].map((prefix) => redis.set(`${prefix}:write-check`, '1', 'EX', LIFETIME_SECONDS)),
  )
  return written.map((result) => (result.status === 'rejected' ? result.reason : undefined))
}

/**
 * Resolves when at least one shard takes writes: events then go there.
 *
 * @throws what tryWrites returns for the first shard.
 */
export async function tryWrite(redis: RedisConnection, backend: RedisBackend, shards: number): Promise<void> {
  const problems = await tryWrites(redis, backend, shards)
  if (problems.every((problem) => problem !== undefined)) throw problems[0]
}
