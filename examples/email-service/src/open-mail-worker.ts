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

/** Opens the worker. On Redis, plain BullMQ is all that a consumer needs. */
export async function openMailWorker(
  queue: EmailServiceEnv['queue'],
  process: (job: Job<unknown>) => Promise<void>,
  onError: (error: Error) => void,
): Promise<MailWorker> {
  if (queue.backend === 'redis') {
    const connection = { url: queue.url, maxRetriesPerRequest: null }
    const worker = new Worker(QUEUE, process, { ...OPTIONS, connection, prefix: queue.prefix })
    worker.on('error', onError)
    return worker
  }
  // Sets up the connections for BullMQ's tables. Loaded only here: a consumer on Redis does without.
  const { openWorker } = await import('@tidings/queue/backend')
  const backend = { kind: 'postgres', url: queue.url, schema: 'bullmq' } as const
  const worker = openWorker<unknown>(QUEUE, backend, process, OPTIONS)
  worker.on('error', onError)
  return worker
}
