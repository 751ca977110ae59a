import type { Database } from '@tidings/db/database'
import { findLiveSessions } from '@tidings/db/users/sessions'
import { findUsers } from '@tidings/db/users/users'
import type { Redis } from 'ioredis'
import { Counter, type Registry } from 'prom-client'
import {
  type CachedUser,
  type Caches,
  cachedUserSchema,
  type SessionOwner,
  sessionOwnerSchema,
} from '../cache/caches.ts'
import type { InvalidationBus } from '../cache/invalidation-bus.ts'
import { createSharedCache } from '../cache/redis-cache.ts'
import { TieredCache } from '../cache/tiered-cache.ts'
import { toCachedUser } from '../users/to-user.ts'

interface CacheOptions {
  db: Database
  bus: InvalidationBus
  registry: Registry
  /** Undefined without Redis: then each process has its own tier only. */
  redis: { connection: Redis; prefix: string } | undefined
}

/** Added up, the age of the oldest user that is served when every message is lost. In milliseconds. */
const USER_LOCAL_TTL_MS = 30_000
const USER_SHARED_TTL_MS = 120_000
/** Added up, how long an ended session is accepted when every message is lost. In milliseconds. */
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
    users: new TieredCache<CachedUser>({
      name: 'user',
      maxEntries: MAX_LOCAL_USERS,
      localTtlMs: USER_LOCAL_TTL_MS,
      load: async (ids) => new Map((await findUsers(db, ids)).map((row) => [row.id, toCachedUser(row)])),
      shared:
        redis &&
        createSharedCache(redis.connection, {
          keyPrefix: `${redis.prefix}:cache:user:v3:`,
          ttlMs: USER_SHARED_TTL_MS,
          schema: cachedUserSchema,
        }),
      bus,
      reads,
    }),
    sessions: new TieredCache<SessionOwner>({
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
