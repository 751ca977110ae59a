import type { Database } from '@tidings/db/database'
import { classifyFailure } from '@tidings/db/failure'
import { findServiceKey, type ServiceKey, touchServiceKeys } from '@tidings/db/operators/service-keys'
import { withDeadline } from '@tidings/runtime/deadline'
import type { Logger } from '@tidings/runtime/log'
import { AppError } from '@tidings/shared/errors'
import { hashSecret, SCOPES } from '@tidings/shared/service-key'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { SharedCache } from '../cache/redis-cache.ts'
import { describeError } from '../http/describe-error.ts'
import type { Authenticate, ServicePrincipal } from '../http/principal.ts'

/** A key is looked up again after this time, so a revoked key stops working within it. In milliseconds. */
const FRESH_MS = 30_000
/** An unknown key is refused from memory for this time. Short, so that a new key works soon. In milliseconds. */
const ABSENT_MS = 2_000
/**
 * How long a request waits for PostgreSQL, in milliseconds. A locked table and a proxy that swallows packets give no
 * answer for many seconds, and a status post is answered within one.
 */
const LOOK_UP_WITHIN_MS = 300
/** How long Redis keeps a key for APIs that start while PostgreSQL is unreachable, in milliseconds. */
export const SHARED_KEY_TTL_MS = 24 * 60 * 60 * 1000
const MAX_CACHED_KEYS = 10_000
const MAX_CACHED_ABSENT = 10_000
const FLUSH_LAST_USED_MS = 60_000

/** A live key as the shared cache keeps it, under the digest of its text. */
export const sharedKeySchema = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  eventsPerSecond: z.number().nullable(),
  burst: z.number().nullable(),
})
export type SharedKey = z.infer<typeof sharedKeySchema>

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
  /** Used while PostgreSQL does not answer. Undefined without Redis. */
  shared?: SharedCache<SharedKey> | undefined
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/**
 * Authenticates service keys from memory, and asks PostgreSQL about a key at most once in 30 s. While PostgreSQL does
 * not answer, a key stays valid that this process or the shared cache knows. Any other key gets `unavailable`.
 */
export function createServiceKeyAuthenticator({
  db,
  log,
  shared,
  now = Date.now,
}: ServiceKeyOptions): ServiceKeyAuthenticator {
  // The map's key is the service key itself: hashing it would cost 3 to 4 % of a request. A lookup compares
  // V8's seeded hash first, so its time reveals nothing about a key that is nearly right.
  const known = new LRUCache<string, Entry>({ max: MAX_CACHED_KEYS })
  const absentUntilMs = new LRUCache<string, number>({ max: MAX_CACHED_ABSENT })
  const loading = new Map<string, Promise<ServicePrincipal>>()
  const lookUps = new Map<string, Promise<ServicePrincipal | undefined>>()
  const usedIds = new Set<string>()

  function remember(key: string, found: SharedKey, forMs: number): ServicePrincipal {
    const principal = toPrincipal(found)
    known.set(key, { principal, freshUntilMs: now() + forMs })
    return principal
  }

  /** Asks PostgreSQL. The answer is remembered also when it comes too late for the request. */
  async function lookUp(key: string, digest: string): Promise<ServicePrincipal | undefined> {
    const startedMs = performance.now()
    const found = await findServiceKey(db, Buffer.from(digest, 'base64url'))
    if (found === undefined) {
      known.delete(key)
      absentUntilMs.set(digest, now() + ABSENT_MS)
      void forgetShared(digest)
      return undefined
    }
    const entry = toSharedKey(found)
    // Not awaited: without Redis the key is valid too.
    void shared?.write(new Map([[digest, entry]]), performance.now() - startedMs)
    return remember(key, entry, FRESH_MS)
  }

  /** Removes a revoked key. Most unknown keys are not there, and removing writes. */
  async function forgetShared(digest: string) {
    if ((await shared?.read([digest]))?.has(digest)) await shared?.remove([digest])
  }

  async function load(key: string, digest: string): Promise<ServicePrincipal> {
    let failure: unknown
    try {
      const asked = once(lookUps, digest, () => lookUp(key, digest))
      const principal = await withDeadline(asked, LOOK_UP_WITHIN_MS, cannotCheck)
      if (principal !== undefined) return principal
    } catch (error) {
      failure = error
    }
    if (failure === undefined) throw refused()
    const stale = known.get(key)
    if (stale !== undefined) {
      // Ask again soon, but not for every request.
      stale.freshUntilMs = now() + ABSENT_MS
      return stale.principal
    }
    const found = (await shared?.read([digest]))?.get(digest)
    if (found !== undefined) return remember(key, found, ABSENT_MS)
    if (failure instanceof AppError || classifyFailure(failure) !== 'outage') throw failure
    throw cannotCheck(failure)
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
      return once(loading, digest, () => load(key, digest)).then((principal) => {
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

/** Starts the work, or joins the work of the same id that has not ended. */
function once<Result>(
  running: Map<string, Promise<Result>>,
  id: string,
  start: () => Promise<Result>,
): Promise<Result> {
  let promise = running.get(id)
  if (promise === undefined) {
    promise = start().finally(() => running.delete(id))
    running.set(id, promise)
  }
  return promise
}

const toSharedKey = ({ id, name, scopes, eventsPerSecond, burst }: ServiceKey): SharedKey => ({
  id,
  name,
  scopes,
  eventsPerSecond,
  burst,
})

const toPrincipal = ({ id, name, scopes, eventsPerSecond, burst }: SharedKey): ServicePrincipal => ({
  kind: 'service',
  id,
  name,
  scopes: new Set(scopes),
  limit: eventsPerSecond === null ? undefined : { eventsPerSecond, burst: burst ?? eventsPerSecond },
})

const refused = () => new AppError('unauthorized', 'The service key is not known or was revoked.')

const cannotCheck = (cause?: unknown) =>
  new AppError('unavailable', 'The key cannot be checked right now. Try again shortly.', { cause })
