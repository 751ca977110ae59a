import type { Database } from '@tidings/db/database'
import { deleteOldMessages } from '@tidings/db/users/delete-old-messages'
import { countPendingMessages } from '@tidings/db/users/outbound-messages'
import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { publishMessages, removeMessages } from '@tidings/queue/outbound-queue'
import { OUTBOUND_QUEUE } from '@tidings/queue/policy'
import { versionOptions } from '@tidings/queue/redis-rights'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { runRegularly } from '@tidings/runtime/regular-task'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import type { Registry } from 'prom-client'
import { connectRedis } from '../connect-redis.ts'
import { describeFailure } from './describe-failure.ts'
import { createOutboundMetrics } from './outbound-metrics.ts'
import { OutboundRelay } from './relay.ts'

export interface OutboundOptions {
  db: Database
  backend: QueueBackend
  linkBaseUrl: string
  isQueueWritable(): boolean
  registry: Registry
  lifecycle: Lifecycle
  log: Logger
}

const DELETE_INTERVAL_MS = 60_000

/**
 * Starts to relay outbound messages and to delete old ones, as soon as the queue's store is reachable. It has its own
 * connection to Redis, so it delays no events. The queue gets no telemetry: traces hold nothing of a message.
 */
export async function startOutbound(options: OutboundOptions): Promise<void> {
  const { db, backend, registry, lifecycle, log } = options
  const warn = throttledWarning(log, 'relay of outbound messages')
  const onError = (error: unknown) => warn(describeFailure(error))
  const redis = backend.kind === 'redis' ? await connectRedis(backend, onError) : undefined
  lifecycle.onRelease('outbound redis', () => redis?.disconnect())
  const version = await versionOptions(redis)
  const queue = openQueue<OutboundJob>(OUTBOUND_QUEUE, backend, redis, { onError, ...version })
  lifecycle.onRelease('outbound queue', () => queue.close())

  const relay = new OutboundRelay({
    db,
    linkBaseUrl: options.linkBaseUrl,
    publish: (jobs) => publishMessages(queue, jobs),
    remove: (ids) => removeMessages(queue, ids),
    isQueueWritable: options.isQueueWritable,
    count: createOutboundMetrics(registry, () => countPendingMessages(db)),
    onError,
  })
  lifecycle.onRelease('relay', () => relay.close())

  const stopDeleting = runRegularly({
    async run() {
      if (options.isQueueWritable()) await removeMessages(queue, await deleteOldMessages(db))
    },
    intervalMs: DELETE_INTERVAL_MS,
    onFailure: (error) =>
      log.debug({ error: describeFailure(error) }, 'old messages not deleted; the next run tries again'),
  })
  lifecycle.onRelease('old messages', stopDeleting)
}
