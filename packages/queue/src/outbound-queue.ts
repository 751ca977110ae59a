import { withDeadline } from '@tidings/runtime/deadline'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import { type JobQueue, openQueue, type QueueBackend } from './backend.ts'
import { openRedis } from './open-redis.ts'
import { OUTBOUND_JOB, OUTBOUND_JOB_OPTIONS, OUTBOUND_QUEUE } from './policy.ts'
import { versionOptions } from './redis-rights.ts'

export type OutboundQueue = JobQueue<OutboundJob>

/** Puts messages on the queue at once. One that is there already is left as it is. */
export async function publishMessages(queue: OutboundQueue, messages: readonly OutboundJob[]): Promise<void> {
  await queue.addBulk(
    messages.map((data) => ({
      name: OUTBOUND_JOB,
      data,
      opts: { ...OUTBOUND_JOB_OPTIONS, jobId: data.id },
    })),
  )
}

/**
 * Takes messages off the queue.
 *
 * @returns the ids of those that are being sent right now: they stay.
 */
export async function removeMessages(queue: OutboundQueue, ids: readonly string[]): Promise<string[]> {
  const kept: string[] = []
  for (const id of ids) {
    if ((await queue.remove(id)) === 0 && (await queue.getJobState(id)) !== 'unknown') kept.push(id)
  }
  return kept
}

const READY_LIMIT_MS = 3_000

/**
 * Runs work on the queue over a new connection, and closes it.
 *
 * @throws when the queue's store does not answer within 3 s.
 */
export async function withOutboundQueue<Result>(
  backend: QueueBackend,
  onError: (error: Error) => void,
  use: (queue: OutboundQueue) => Promise<Result>,
): Promise<Result> {
  const redis = backend.kind === 'redis' ? openRedis(backend, 'operator', onError) : undefined
  const tooLate = () => new Error('The queue does not answer.')
  let queue: OutboundQueue | undefined
  try {
    // A Queue that is built before the connection is ready may never work.
    if (redis && redis.status !== 'ready')
      await withDeadline(
        new Promise<void>((resolve) => redis.once('ready', resolve)),
        READY_LIMIT_MS,
        tooLate,
      )
    queue = openQueue<OutboundJob>(OUTBOUND_QUEUE, backend, redis, {
      onError,
      ...(await versionOptions(redis)),
    })
    await withDeadline(queue.waitUntilReady(), READY_LIMIT_MS, tooLate)
    return await use(queue)
  } finally {
    await queue?.close().catch(onError)
    redis?.disconnect()
  }
}
