import type { Database } from '@tidings/db/database'
import {
  type CachedTopic,
  type ChangeTopic,
  type PrefixedRedis,
  publishToPostgres,
  publishToRedis,
  removeShared,
  sharedKeyPrefix,
} from './changes.ts'

/** Where the running APIs hear of changes. */
export interface ChangeBus {
  db: Database
  /** Undefined when the queue is on PostgreSQL: then the bus is there too. */
  redis: PrefixedRedis | undefined
}

/**
 * Makes every running API forget these cached values. For a program without caches of its own. Call it after the change
 * is committed.
 *
 * @throws the store's error when a value may be served for a while.
 */
export async function announceChange(
  bus: ChangeBus,
  topic: CachedTopic,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return
  const { redis } = bus
  // In this order: a replica that hears of the change must not find the old value in Redis.
  if (redis) await removeShared(redis.connection, sharedKeyPrefix(redis.prefix, topic), ids)
  await publishChange(bus, topic, ids)
}

/** Sends a message to every running API. */
export function publishChange(
  { db, redis }: ChangeBus,
  topic: ChangeTopic,
  ids: readonly string[],
): Promise<void> {
  return redis ? publishToRedis(redis, topic, ids) : publishToPostgres(db, topic, ids)
}
