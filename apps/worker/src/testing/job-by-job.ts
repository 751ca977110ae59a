import { type JobQueue, openQueue, openRedis, openWorker, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, STATUS_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { Releaser } from '@tidings/stack/testing/releaser'
import type { Job } from 'bullmq'

const ignore = () => {}

/** The token that holds the lock of each job taken. */
export const TOKEN = 'token'

/** The queues, and a BullMQ worker that takes a job only when the test asks for one. */
export function openJobByJob(backend: QueueBackend, releaser: Releaser) {
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', ignore) : undefined
  releaser.onRelease(() => redis?.disconnect())
  const open = <Data>(name: string): JobQueue<Data> =>
    releaser.add(openQueue<Data>(name, backend, redis, { onError: ignore }), (queue) => queue.close())
  const queue = open<unknown>(STATUS_QUEUE)
  const deadLetters: DeadLetterQueue = open<DeadLetter>(DEAD_LETTER_QUEUE)
  const worker = openWorker<unknown>(STATUS_QUEUE, backend, async () => {}, { autorun: false })
  worker.on('error', ignore)
  releaser.onRelease(() => worker.close())

  return {
    queue,
    deadLetters,
    worker,
    enqueue: (events: unknown[]) => queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS),
    async takeJob(): Promise<Job> {
      const job = await worker.getNextJob(TOKEN)
      if (job === undefined) throw new Error('No job is waiting')
      return job as Job
    },
    async clear(): Promise<void> {
      await queue.obliterate({ force: true })
      await deadLetters.obliterate({ force: true })
    },
  }
}
