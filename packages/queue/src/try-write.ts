import type { RedisBackend } from './backend.ts'
import type { RedisConnection } from './open-redis.ts'
import { keyPrefixOf, shardNames } from './queue-names.ts'
import { firstAnswer, unlessAway } from './unless-away.ts'

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
  const written = await Promise.allSettled(startWrites(redis, backend, shards))
  return written.map((result) => (result.status === 'rejected' ? result.reason : undefined))
}

/**
 * Resolves as soon as one shard takes writes: events then go there.
 *
 * @throws what tryWrites returns for the first shard.
 */
export async function tryWrite(redis: RedisConnection, backend: RedisBackend, shards: number): Promise<void> {
  await firstAnswer(startWrites(redis, backend, shards))
}

function startWrites(redis: RedisConnection, backend: RedisBackend, shards: number): Promise<unknown>[] {
  const prefixes = new Set(shardNames(shards).map((name) => keyPrefixOf(backend, name)))
  return [...prefixes].map((prefix) =>
    unlessAway(redis, redis.set(`${prefix}:write-check`, '1', 'EX', LIFETIME_SECONDS)),
  )
}
