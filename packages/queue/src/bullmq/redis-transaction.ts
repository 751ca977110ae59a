import {
  createIORedisClient,
  type IRedisClient,
  type IRedisTransaction,
  Job,
  RedisQueueBackend,
} from 'bullmq'
import { z } from 'zod'
import type { JobQueue } from '../backend.ts'
import { assertReadable } from '../envelope.ts'
import type { RedisConnection } from '../open-redis.ts'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '../policy.ts'

/*
 * Jobs of two queues changed in one Redis transaction. BullMQ has no such call, so this runs its own scripts inside a
 * transaction of ours. UPGRADING.md lists what to check for each new version of BullMQ.
 */

export type { IRedisTransaction as RedisTransaction } from 'bullmq'

/**
 * Begins a transaction that sends each script as text the first time. BullMQ sends only the script's digest. A server
 * that does not know it, for example after a restart, would refuse that command and still run the others.
 */
export function beginTransaction(redis: RedisConnection): IRedisTransaction {
  const client: IRedisClient = createIORedisClient(redis)
  const multi = client.multi()
  const runByDigest = multi.runCommand.bind(multi)
  const sent = new Set<string>()
  multi.runCommand = (name, args) => {
    if (sent.has(name)) return runByDigest(name, args)
    sent.add(name)
    const { lua, numberOfKeys } = scriptSchema.parse(Reflect.get(redis.scriptsSet, name))
    const evaluate: unknown = Reflect.get(multi, 'eval')
    if (typeof evaluate !== 'function') throw new Error('This connection cannot send scripts.')
    evaluate.call(multi, lua, numberOfKeys, ...args)
    return multi
  }
  return multi
}

/** A script as ioredis keeps it after BullMQ defined it. */
const scriptSchema = z.object({ lua: z.string(), numberOfKeys: z.int() })

/** Adds a new job with this data to the queue. @throws RangeError when it is too long to be read. */
export async function addJob(multi: IRedisTransaction, queue: JobQueue<object>, data: object): Promise<void> {
  const job = new Job(queue, ENVELOPE_JOB, data, ENVELOPE_JOB_OPTIONS).asJSON()
  assertReadable(job.data)
  await redisBackend(queue).addJobToTransaction(multi, job, '')
}

export function removeJob(multi: IRedisTransaction, queue: JobQueue<object>, id: string): void {
  const withChildren = 0
  redisBackend(queue).execCommand(multi, 'removeJob', [
    queue.toKey(id),
    queue.toKey('repeat'),
    id,
    withChildren,
    queue.toKey(''),
  ])
}

function redisBackend(queue: JobQueue<object>): RedisQueueBackend {
  if (queue.backend instanceof RedisQueueBackend) return queue.backend
  throw new Error('The queue is not on Redis.')
}
