import type { Database } from '@tidings/db/database'
import { classifyFailure } from '@tidings/db/failure'
import { findServiceKey, touchServiceKeys } from '@tidings/db/operators/service-keys'
import type { Logger } from '@tidings/runtime/log'
import { AppError } from '@tidings/shared/errors'
import { hashSecret } from '@tidings/shared/service-key'
import { LRUCache } from 'lru-cache'
import { describeError } from '../http/describe-error.ts'
import type { Authenticate, ServicePrincipal } from '../http/principal.ts'

/** A key is looked up again after this time, so a revoked key stops working within it. In milliseconds. */
const FRESH_MS = 30_000
/** An unknown key is refused from memory for this time. Short, so that a new key works soon. In milliseconds. */
const ABSENT_MS = 2_000
const MAX_CACHED_KEYS = 10_000
const MAX_CACHED_ABSENT = 10_000
const FLUSH_LAST_USED_MS = 60_000

export interface ServiceKeyAuthenticator {
  authenticate: Authenticate<ServicePrincipal>
  /** Writes the remaining `last_used_at` times and stops. */
  close(): Promise<void>
}

interface Entry {
  principal: ServicePrincipal
  freshUntilMs: number
}

interface ServiceKeyOptions {
  db: Database
  log: Logger
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/**
 * Authenticates service keys from memory, and asks PostgreSQL about a key at most once in 30 s. While
 * PostgreSQL is unreachable a known key stays valid, and an unknown key gets `unavailable`.
 */
export function createServiceKeyAuthenticator({
  db,
  log,
  now = Date.now,
}: ServiceKeyOptions): ServiceKeyAuthenticator {
  // The map's key is the service key itself: hashing it would cost 3 to 4 % of a request. A lookup compares
  // V8's seeded hash first, so its time reveals nothing about a key that is nearly right.
  const known = new LRUCache<string, Entry>({ max: MAX_CACHED_KEYS })
  const absentUntilMs = new LRUCache<string, number>({ max: MAX_CACHED_ABSENT })
  const loading = new Map<string, Promise<ServicePrincipal>>()
  const usedIds = new Set<string>()

  async function load(key: string, digest: string): Promise<ServicePrincipal> {
    try {
      const found = await findServiceKey(db, Buffer.from(digest, 'base64url'))
      if (found === undefined) {
        known.delete(key)
        absentUntilMs.set(digest, now() + ABSENT_MS)
        throw refused()
      }
      const principal: ServicePrincipal = {
        kind: 'service',
        id: found.id,
        name: found.name,
        scopes: new Set(found.scopes),
      }
      known.set(key, { principal, freshUntilMs: now() + FRESH_MS })
      return principal
    } catch (error) {
      if (error instanceof AppError) throw error
      const stale = known.get(key)
      if (stale !== undefined) {
        // Ask again soon, but not for every request.
        stale.freshUntilMs = now() + ABSENT_MS
        return stale.principal
      }
      if (classifyFailure(error) !== 'outage') throw error
      throw new AppError('unavailable', 'The key cannot be checked right now. Try again shortly.', {
        cause: error,
      })
    }
  }

  function loadOnce(key: string, digest: string): Promise<ServicePrincipal> {
    let promise = loading.get(digest)
    if (promise === undefined) {
      promise = load(key, digest).finally(() => loading.delete(digest))
      loading.set(digest, promise)
    }
    return promise
  }

  async function flushLastUsed() {
    if (usedIds.size === 0) return
    const ids = [...usedIds]
    usedIds.clear()
    await touchServiceKeys(db, ids).catch((error: unknown) =>
      log.debug({ error: describeError(error) }, 'last use of service keys not stored'),
    )
  }
  const timer = setInterval(() => void flushLastUsed(), FLUSH_LAST_USED_MS)
  timer.unref()

  return {
    authenticate(key) {
      const entry = known.get(key)
      if (entry !== undefined && entry.freshUntilMs > now()) {
        usedIds.add(entry.principal.id)
        return entry.principal
      }
      // An unknown text can be of any length, so memory keeps its digest.
      const digest = hashSecret(key).toString('base64url')
      if ((absentUntilMs.get(digest) ?? 0) > now()) throw refused()
      return loadOnce(key, digest).then((principal) => {
        usedIds.add(principal.id)
        return principal
      })
    },
    async close() {
      clearInterval(timer)
      await flushLastUsed()
    },
  }
}

const refused = () => new AppError('unauthorized', 'The service key is not known or was revoked.')
