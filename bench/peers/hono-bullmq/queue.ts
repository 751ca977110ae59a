import type { JobsOptions } from 'bullmq'
import { Redis } from 'ioredis'

export const QUEUE = 'status'

/** Three retries, as in BullMQ's guide on retrying failing jobs. */
export const JOB_OPTIONS: JobsOptions = {
  attempts: 4,
  backoff: { type: 'exponential', delay: 500 },
  removeOnComplete: true,
}

export const openRedis = (url: string) => new Redis(url, { maxRetriesPerRequest: null })
