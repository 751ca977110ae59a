import type { Database } from '@tidings/db/database'
import { classifyFailure } from '@tidings/db/failure'
import { findServiceKey, touchServiceKeys } from '@tidings/db/operators/service-keys'
import type { Logger } from '@tidings/runtime/log'
import { AppError } from '@tidings/shared/errors'
import { hashSecret, SCOPES } from '@tidings/shared/service-key'
import { z } from 'zod'
import { LastingCache } from '../cache/lasting-cache.ts'
import type { SharedCache } from '../cache/redis-cache.ts'
import type { Authenticate, ServicePrincipal } from '../http/principal.ts'
import { LastUse } from './last-use.ts'

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

interface ServiceKeyOptions {
  db: Database
  log: Logger
  /** Used while PostgreSQL does not answer. Undefined without Redis. */
  shared?: SharedCache<SharedKey> | undefined
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/**
 * Authenticates service keys from memory; see LastingCache. While PostgreSQL does not answer, a key that is in no cache
 * gets `unavailable`.
 */
export function createServiceKeyAuthenticator({
  db,
  log,
  shared,
  now,
}: ServiceKeyOptions): ServiceKeyAuthenticator {
  // The cache's key is the service key itself: hashing it would cost 3 to 4 % of a request. A lookup compares
  // V8's seeded hash first, so its time reveals nothing about a key that is nearly right.
  const keys = new LastingCache<SharedKey, ServicePrincipal>({
    idOf: (key) => hashSecret(key).toString('base64url'),
    load: (digest) => loadKey(db, digest),
    open: toPrincipal,
    shared,
    now,
  })
  const lastUse = new LastUse((ids) => touchServiceKeys(db, ids), log)

  function use(principal: ServicePrincipal | undefined): ServicePrincipal {
    if (principal === undefined) throw refused()
    lastUse.note(principal.id)
    return principal
  }

  return {
    authenticate(key) {
      const found = keys.get(key)
      return found instanceof Promise ? found.catch(explainFailure).then(use) : use(found)
    },
    close: () => lastUse.close(),
  }
}

async function loadKey(db: Database, digest: string): Promise<SharedKey | undefined> {
  const found = await findServiceKey(db, Buffer.from(digest, 'base64url'))
  if (found === undefined) return undefined
  const { id, name, scopes, eventsPerSecond, burst } = found
  return { id, name, scopes, eventsPerSecond, burst }
}

const toPrincipal = ({ id, name, scopes, eventsPerSecond, burst }: SharedKey): ServicePrincipal => ({
  kind: 'service',
  id,
  name,
  scopes: new Set(scopes),
  limit: eventsPerSecond === null ? undefined : { eventsPerSecond, burst: burst ?? eventsPerSecond },
})

const refused = () => new AppError('unauthorized', 'The service key is not known or was revoked.')

function explainFailure(failure: unknown): never {
  if (!(failure instanceof AppError) && classifyFailure(failure) !== 'outage') throw failure
  throw new AppError('unavailable', 'The key cannot be checked right now. Try again shortly.', {
    cause: failure,
  })
}
