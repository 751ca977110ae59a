import type { QueueBackend, RedisBackend } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { isCluster, keyPrefixOf } from '@tidings/queue/queue-names'
import type { Releaser } from '@tidings/stack/releaser'
import { createPostgresBackend, Queue } from 'bullmq'

/** What a program without our packages passes to BullMQ to reach a queue. */
export function plainOptions(backend: RedisBackend, queue: string, releaser: Releaser) {
  const prefix = keyPrefixOf(backend, queue)
  if (!isCluster(backend)) return { connection: { url: backend.url, maxRetriesPerRequest: null }, prefix }
  const cluster = openRedis(backend, 'patient', () => {})
  return { connection: releaser.add(cluster, (opened) => opened.disconnect()), prefix }
}

/** Plain BullMQ on the main queue, as a producer without our packages uses it. */
export function openProducer(backend: QueueBackend, releaser: Releaser): Pick<Queue, 'add'> {
  const queue =
    backend.kind === 'redis'
      ? new Queue(STATUS_QUEUE, plainOptions(backend, STATUS_QUEUE, releaser))
      : new Queue(
          STATUS_QUEUE,
          { connection: { connectionString: backend.url, schema: backend.schema } },
          createPostgresBackend,
        )
  return releaser.add(queue, (opened) => opened.close())
}
