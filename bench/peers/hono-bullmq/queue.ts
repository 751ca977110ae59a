import type { JobsOptions } from 'bullmq'
import { Redis } from 'ioredis'
import { env } from '../contract/env.ts'

export const QUEUE = 'status'

/** Three retries, as BullMQ's guide on retrying shows. */
export const JOB_OPTIONS: JobsOptions = {
  attempts: 4,
  backoff: { type: 'exponential', delay: 500 },
  removeOnComplete: true,
}

export const openRedis = () => new Redis(env.REDIS_URL, { maxRetriesPerRequest: null })
