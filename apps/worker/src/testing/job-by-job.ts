import { type JobQueue, openQueue, openWorker, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, STATUS_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import type { Releaser } from '@tidings/stack/releaser'
import type { Job } from 'bullmq'
import type { BatchWriter, WriteResult } from '../jobs/batch-writer.ts'
import type { EnvelopeContext } from '../jobs/process-envelope.ts'
import { UNRESOLVED_WAIT_MS } from '../jobs/resolve-unresolved.ts'

const ignore = () => {}

/** The token that holds the lock of each job taken. */
export const TOKEN = 'token'

/** The queues, and a BullMQ worker that takes a job only when the test asks for one. */
export function openJobByJob(backend: QueueBackend, releaser: Releaser) {
  const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', ignore) : undefined
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

export const WRITE_ERROR = { code: 'XX000', message: 'as the test says' }
export const OUTAGE: WriteResult = { outcome: 'outage', error: WRITE_ERROR }
export const RETRY: WriteResult = { outcome: 'retry', error: WRITE_ERROR }
export const UNKNOWN_USER: WriteResult = { outcome: 'dead', reason: 'unknown_user', error: WRITE_ERROR }

/** A writer that gives every event the same result. */
export const writerOf = (result: WriteResult): BatchWriter => ({
  write: async (events) => events.map(() => result),
  writeAlone: async () => result,
  drain: async () => {},
})

/** By default, every event is stored. */
export const createContext = (
  more: Pick<EnvelopeContext, 'bury'> & Partial<EnvelopeContext>,
): EnvelopeContext => ({
  writer: writerOf({ outcome: 'stored' }),
  resolve: async (events) => events.map(() => undefined),
  unresolvedWaitMs: UNRESOLVED_WAIT_MS,
  onParsed: ignore,
  onSettleError: ignore,
  onOutage: ignore,
  count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
  suspectLock: { isHeld: false },
  recipientKey: DEFAULT_RECIPIENT_KEY,
  newerVersionWaitMs: 3_600_000,
  onNewerVersion: ignore,
  ...more,
})
