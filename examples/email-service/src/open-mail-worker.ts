import { type Job, Worker } from 'bullmq'
import type { EmailServiceEnv } from './env.ts'

const QUEUE = 'outbound-messages'
const OPTIONS = {
  /** Messages sent at once. */
  concurrency: 10,
  /** How often a message may lose its process. Each time may have sent it. */
  maxStalledCount: 3,
}

/** What this service uses of a BullMQ worker. */
interface MailWorker {
  close(): Promise<void>
}

/** Opens the worker. On one Redis server, plain BullMQ is all that a consumer needs. */
export async function openMailWorker(
  queue: EmailServiceEnv['queue'],
  process: (job: Job<unknown>) => Promise<void>,
  onError: (error: Error) => void,
): Promise<MailWorker> {
  if (queue.backend === 'redis' && /^rediss?:/.test(queue.url)) {
    const connection = { url: queue.url, maxRetriesPerRequest: null }
    const worker = new Worker(QUEUE, process, { ...OPTIONS, connection, prefix: queue.prefix })
    worker.on('error', onError)
    return worker
  }
  // Sets up the connections to Sentinels, to a cluster, or for BullMQ's tables. Loaded only here: others do without.
  const { openWorker } = await import('@tidings/queue/backend')
  const backend =
    queue.backend === 'redis'
      ? ({ kind: 'redis', url: queue.url, prefix: queue.prefix } as const)
      : ({ kind: 'postgres', url: queue.url, schema: 'bullmq' } as const)
  const worker = openWorker<unknown>(QUEUE, backend, process, OPTIONS)
  worker.on('error', onError)
  return worker
}
