import type { Database } from '@tidings/db/database'
import { findLiveSessions } from '@tidings/db/users/sessions'
import { findUsers } from '@tidings/db/users/users'
import type { Redis } from 'ioredis'
import { Counter, type Registry } from 'prom-client'
import { z } from 'zod'
import type { InvalidationBus } from '../cache/invalidation-bus.ts'
import { createSharedCache } from '../cache/redis-cache.ts'
import { createTieredCache, type TieredCache } from '../cache/tiered-cache.ts'
import { toUserRecord, type UserRecord, userRecordSchema } from '../users/user-record.ts'

const sessionOwnerSchema = z.object({ userId: z.string() })
export type SessionOwner = z.infer<typeof sessionOwnerSchema>

export interface Caches {
  users: TieredCache<UserRecord>
  /** Live sessions only. */
  sessions: TieredCache<SessionOwner>
}

export interface CacheOptions {
  db: Database
  bus: InvalidationBus
  registry: Registry
  /** Undefined where there is no Redis: then only the process's own tier is used. */
  redis: { connection: Redis; prefix: string } | undefined
}

/** Together the oldest a user can be when every message of a change is lost. In milliseconds. */
const USER_LOCAL_TTL_MS = 30_000
const USER_SHARED_TTL_MS = 120_000
/** The same for a session that ended. */
const SESSION_LOCAL_TTL_MS = 10_000
const SESSION_SHARED_TTL_MS = 20_000

const MAX_LOCAL_USERS = 20_000
const MAX_LOCAL_SESSIONS = 50_000

export function createCaches({ db, bus, registry, redis }: CacheOptions): Caches {
  const reads = new Counter({
    name: 'tidings_cache_reads_total',
    help: 'Reads by the tier that answered: local (this process), shared (Redis) or store (PostgreSQL).',
    labelNames: ['cache', 'tier'],
    registers: [registry],
  })
  return {
    users: createTieredCache<UserRecord>({
      name: 'user',
      maxEntries: MAX_LOCAL_USERS,
      localTtlMs: USER_LOCAL_TTL_MS,
      load: async (ids) => new Map((await findUsers(db, ids)).map((row) => [row.id, toUserRecord(row)])),
      shared:
        redis &&
        createSharedCache(redis.connection, {
          keyPrefix: `${redis.prefix}:cache:user:v1:`,
          ttlMs: USER_SHARED_TTL_MS,
          schema: userRecordSchema,
        }),
      bus,
      reads,
    }),
    sessions: createTieredCache<SessionOwner>({
      name: 'session',
      maxEntries: MAX_LOCAL_SESSIONS,
      localTtlMs: SESSION_LOCAL_TTL_MS,
      load: async (ids) =>
        new Map((await findLiveSessions(db, ids)).map((row) => [row.id, { userId: row.userId }])),
      shared:
        redis &&
        createSharedCache(redis.connection, {
          keyPrefix: `${redis.prefix}:cache:session:v1:`,
          ttlMs: SESSION_SHARED_TTL_MS,
          schema: sessionOwnerSchema,
        }),
      bus,
      reads,
    }),
  }
}
