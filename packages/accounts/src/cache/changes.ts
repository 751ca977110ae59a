import type { Database } from '@tidings/db/database'
import type { RedisConnection } from '@tidings/queue/open-redis'
import { z } from 'zod'

/**
 * What a message on the bus is about. `user` and `session` are values that the API caches, by id; `limit` are counters
 * of wrong passwords that an operator reset, by key.
 */
export type ChangeTopic = 'user' | 'session' | 'limit'

/** A connection to Redis and the prefix of every key. */
export interface PrefixedRedis {
  connection: RedisConnection
  prefix: string
}

/** The version of a value's shape. Raise it when the shape changes: replicas of both versions run side by side. */
const SHAPE_VERSIONS = { user: 'v4', session: 'v1' } as const
export type CachedTopic = keyof typeof SHAPE_VERSIONS

/** Namespace of the values that all replicas share in Redis. The id follows. */
export const sharedKeyPrefix = (prefix: string, topic: CachedTopic) =>
  `${prefix}:cache:${topic}:${SHAPE_VERSIONS[topic]}:`

/** The channel for messages in Redis. */
export const redisChannel = (prefix: string) => `${prefix}:cache:changes`
/** The channel for messages in PostgreSQL, for an installation without Redis. */
export const POSTGRES_CHANNEL = 'tidings_cache_changes'
/** Ids are UUIDs of 39 bytes in JSON; PostgreSQL refuses a notification of 8,000 bytes or more. */
const IDS_PER_NOTIFICATION = 100

export const changeMessageSchema = z.object({ topic: z.string(), ids: z.array(z.string()) })

const formatMessage = (topic: string, ids: readonly string[]) => JSON.stringify({ topic, ids })

/** Sends a message over Redis. Resolves when it is sent. */
export async function publishToRedis(
  { connection, prefix }: PrefixedRedis,
  topic: string,
  ids: readonly string[],
): Promise<void> {
  await connection.publish(redisChannel(prefix), formatMessage(topic, ids))
}

/** Sends a message over PostgreSQL. Resolves when it is sent. */
export async function publishToPostgres(db: Database, topic: string, ids: readonly string[]): Promise<void> {
  for (let from = 0; from < ids.length; from += IDS_PER_NOTIFICATION) {
    const message = formatMessage(topic, ids.slice(from, from + IDS_PER_NOTIFICATION))
    await db.pool.query('SELECT pg_notify($1, $2)', [POSTGRES_CHANNEL, message])
  }
}

/** Replaces a removed value for a while, so that no replica writes back what it read before the change. */
export const REMOVED = '-'
/** Longer than a replica takes to read a value that it writes. */
const REMOVED_TTL_MS = 5_000

/** Removes values from Redis. Rejects when Redis may still hold one. */
export async function removeShared(
  redis: RedisConnection,
  keyPrefix: string,
  ids: readonly string[],
): Promise<void> {
  // One by one: on a cluster they are on several nodes.
  await Promise.all(ids.map((id) => redis.set(`${keyPrefix}${id}`, REMOVED, 'PX', REMOVED_TTL_MS)))
}
