import { publishToRedis, redisChannel } from '@tidings/accounts/cache/changes'
import { openSubscriber, type RedisConnection, type RedisTarget } from '@tidings/queue/open-redis'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import { deliverMessage, type InvalidationBus, type Subscriber } from './invalidation-bus.ts'

/**
 * Announces changed cache entries over Redis pub/sub. It listens on a second connection, because a connection that
 * subscribes cannot publish.
 *
 * @param redis publishes; the caller closes it.
 */
export function createRedisBus(
  redis: RedisConnection,
  options: RedisTarget & { prefix: string; log: Logger },
): InvalidationBus {
  const { prefix, log } = options
  const channel = redisChannel(prefix)
  const subscribers: Subscriber[] = []
  const listener = openSubscriber(options, (error) =>
    log.debug({ error: errorMessage(error) }, 'cache listener lost its connection'),
  )
  // Every connect is a gap: messages sent meanwhile are lost. Report it only once the channel is subscribed, because
  // a value that is read earlier could change without a message.
  listener.on('ready', async () => {
    await listener.subscribe(channel).catch(() => undefined)
    for (const { onGap } of subscribers) onGap()
  })
  listener.on('message', (_channel: string, text: string) => deliverMessage(subscribers, text))
  return {
    publish: (topic, ids) => publishToRedis({ connection: redis, prefix }, topic, ids),
    subscribe: (subscriber) => void subscribers.push(subscriber),
    async close() {
      listener.disconnect()
    },
  }
}
