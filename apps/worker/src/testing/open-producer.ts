import type { QueueBackend } from '@tidings/queue/backend'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { createPostgresBackend, Queue } from 'bullmq'

/** Plain BullMQ on the main queue, as a producer without our packages uses it. */
export function openProducer(backend: QueueBackend): Pick<Queue, 'add' | 'close'> {
  if (backend.kind === 'redis')
    return new Queue(STATUS_QUEUE, { connection: { url: backend.url }, prefix: backend.prefix })
  const connection = { connectionString: backend.url, schema: backend.schema }
  return new Queue(STATUS_QUEUE, { connection }, createPostgresBackend)
}
