import { REMOVED, removeShared } from '@tidings/accounts/cache/changes'
import type { RedisConnection } from '@tidings/queue/open-redis'
import { ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel'
import type { z } from 'zod'
import { parseJson } from './parse-json.ts'

/** The tier in Redis, shared by all replicas. It never rejects: without Redis it is empty. */
export interface SharedCache<Value> {
  read(ids: readonly string[]): Promise<Map<string, Value>>
  /** @param loadedInMs how long the values took to load: they may be that old already. */
  write(values: ReadonlyMap<string, Value>, loadedInMs: number): Promise<void>
  /** Resolves to false when Redis may still hold a value. */
  remove(ids: readonly string[]): Promise<boolean>
}

interface SharedCacheOptions<Value> {
  /** Namespace of the keys. It includes the version of the values' shape. */
  keyPrefix: string
  ttlMs: number
  schema: z.ZodType<Value>
}

/** A slower read is not written: the mark that removeShared leaves may be gone by then. */
const MAX_LOAD_MS = 2_500

const FAILURES_BEFORE_PAUSE = 3
const PAUSE_MS = 1_000

export function createSharedCache<Value>(
  redis: RedisConnection,
  options: SharedCacheOptions<Value>,
): SharedCache<Value> {
  const { keyPrefix, ttlMs, schema } = options
  const keyOf = (id: string) => `${keyPrefix}${id}`
  // Each call to a Redis that hangs takes a full timeout. After three failures the cache makes none for a second.
  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: PAUSE_MS,
    breaker: new ConsecutiveBreaker(FAILURES_BEFORE_PAUSE),
  })

  async function attempt<Result>(action: () => Promise<Result>, fallback: Result): Promise<Result> {
    try {
      return await breaker.execute(action)
    } catch {
      return fallback
    }
  }

  return {
    async read(ids) {
      const texts = await attempt<(string | null)[]>(
        () => Promise.all(ids.map((id) => redis.get(keyOf(id)))),
        [],
      )
      const found = new Map<string, Value>()
      ids.forEach((id, index) => {
        const text = texts[index]
        const value = typeof text === 'string' && text !== REMOVED ? parseJson(schema, text) : undefined
        if (value !== undefined) found.set(id, value)
      })
      return found
    },

    async write(values, loadedInMs) {
      if (values.size === 0 || loadedInMs > MAX_LOAD_MS) return
      await attempt(async () => {
        const writes = [...values].map(([id, value]) =>
          redis.set(keyOf(id), JSON.stringify(value), 'PX', ttlMs, 'NX'),
        )
        await Promise.all(writes)
      }, undefined)
    },

    async remove(ids) {
      return attempt(async () => {
        await removeShared(redis, keyPrefix, ids)
        return true
      }, false)
    },
  }
}
