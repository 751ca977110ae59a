import type { Database } from '@tidings/db/database'
import { createReceivers } from '@tidings/providers/receivers'
import type { RedisConnection } from '@tidings/queue/open-redis'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import type { Registry } from 'prom-client'
import { SHARED_TTL_MS } from '../cache/lasting-cache.ts'
import { createSharedCache } from '../cache/redis-cache.ts'
import { createFetchFromSns } from '../hooks/fetch-from-sns.ts'
import { HookFinder, sharedHookSchema } from '../hooks/find-hook.ts'
import { HookMetrics } from '../hooks/hook-metrics.ts'
import { HookReceiver } from '../hooks/hook-receiver.ts'
import { ReplayKeys } from '../hooks/replay-keys.ts'
import type { Ingest } from '../status/ingest.ts'

interface OpenHooksOptions {
  env: {
    QUEUE_PREFIX: string
    RECIPIENT_KEY: string
    API_URL: string
    HOOK_SECRETS_KEY?: string | undefined
  }
  db: Database
  /** Undefined without Redis. */
  redis: RedisConnection | undefined
  ingest: Ingest
  registry: Registry
  lifecycle: Lifecycle
  log: Logger
  /** The origin of a server that stands for SNS, in tests. */
  snsStandIn?: string | undefined
}

/** Opens what the receivers of providers' events need, and registers its release. */
export function openHooks(options: OpenHooksOptions): HookReceiver {
  const { env, db, redis, ingest, registry, lifecycle, log, snsStandIn } = options
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
  return new HookReceiver({
    finder,
    receivers: createReceivers({ fetchCertificate: fetchFromSns }),
    replayKeys: new ReplayKeys(redis, env.QUEUE_PREFIX),
    fetchFromSns,
    ingest,
    recipientKey: env.RECIPIENT_KEY,
    publicUrl: env.API_URL,
    metrics: new HookMetrics(registry),
    log,
  })
}
