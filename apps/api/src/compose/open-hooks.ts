import type { Database } from '@tidings/db/database'
import { createReceivers } from '@tidings/providers/receivers'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import type { Redis } from 'ioredis'
import { SHARED_TTL_MS } from '../cache/lasting-cache.ts'
import { createSharedCache } from '../cache/redis-cache.ts'
import { createFetchFromSns } from '../hooks/fetch-from-sns.ts'
import { HookFinder, sharedHookSchema } from '../hooks/find-hook.ts'
import type { Hooks } from '../hooks/hook-routes.ts'
import { ReplayKeys } from '../hooks/replay-keys.ts'

interface OpenHooksOptions {
  env: { QUEUE_PREFIX: string; HOOK_SECRETS_KEY?: string | undefined }
  db: Database
  /** Undefined without Redis. */
  redis: Redis | undefined
  lifecycle: Lifecycle
  log: Logger
  /** The origin of a server that stands for SNS, in tests. */
  snsStandIn?: string | undefined
}

/** Opens what the receivers of providers' events need, and registers its release. */
export function openHooks({ env, db, redis, lifecycle, log, snsStandIn }: OpenHooksOptions): Hooks {
  const shared =
    redis &&
    createSharedCache(redis, {
      keyPrefix: `${env.QUEUE_PREFIX}:cache:hook:v1:`,
      ttlMs: SHARED_TTL_MS,
      schema: sharedHookSchema,
    })
  const finder = new HookFinder({ db, log, secretsKey: env.HOOK_SECRETS_KEY, shared })
  lifecycle.onRelease('hooks', () => finder.close())
  const fetchFromSns = createFetchFromSns(snsStandIn)
  return {
    finder,
    receivers: createReceivers({ fetchCertificate: fetchFromSns }),
    replayKeys: new ReplayKeys(redis, env.QUEUE_PREFIX),
    fetchFromSns,
  }
}
