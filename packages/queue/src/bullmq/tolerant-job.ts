import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ConnectionOptions,
  type IQueueBackend,
  Job,
  type JobJson,
  type JobProgress,
  Queue,
  type RedisQueueBackend,
  Worker,
} from 'bullmq'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB_OPTIONS, MAX_JOB_LENGTH } from '../policy.ts'
import { readLeniently } from './tolerant-backend.ts'

/** Of longer data so much is kept, for people to see whose they were. In characters. */
const KEPT_DATA_LENGTH = 64 * 1024

/**
 * A job of a producer that wrote something else than JSON, as Python does with NaN, or far too much. BullMQ would fail
 * to read it wherever it meets it, and start it for ever. Here what was written is the job's data, as text: no event,
 * and so a dead letter.
 */
class TolerantJob<Data, Result, Name extends string, Progress extends JobProgress> extends Job<
  Data,
  Result,
  Name,
  Progress
> {
  static override fromJSON<Data, Result, Name extends string>(
    ...[queue, json, id]: Parameters<typeof Job.fromJSON>
  ): Job<Data, Result, Name> {
    // A dead letter is somewhat longer than what died, and is told from another by what it holds.
    const isBounded = queue.name !== DEAD_LETTER_QUEUE
    if (isBounded && typeof json.data === 'string' && json.data.length > MAX_JOB_LENGTH) {
      const kept = `${json.data.slice(0, KEPT_DATA_LENGTH)} … (${json.data.length} characters)`
      return Job.fromJSON(queue, { ...json, data: JSON.stringify(kept) }, id)
    }
    try {
      return Job.fromJSON(queue, json, id)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      return Job.fromJSON(queue, { ...json, data: JSON.stringify(json.data) }, id)
    }
  }
}

/** BullMQ's queue in Redis, for jobs that are no JSON too. PostgreSQL takes no others. */
export class TolerantQueue extends Queue {
  protected override createBackend(): void {
    super.createBackend()
    readLeniently(this.backend)
  }

  protected override get Job(): typeof Job {
    return TolerantJob
  }
}

/** Until a job is asked for again after an answer that was an error. In milliseconds. */
const PAUSE_AFTER_ERROR_MS = 500

/**
 * BullMQ's worker, for jobs that are no JSON too. Whatever a job's producer asked for, it is tried and kept as
 * ours are: with its own options a job could be removed when it fails, or wait a year for its next try. BullMQ looks
 * at the options of the job it took up, not at those in the store, whenever a run ends, also when it fails a job
 * without running it.
 */
export class TolerantWorker<
  Data,
  Backend extends IQueueBackend = RedisQueueBackend,
  Connection = ConnectionOptions,
> extends Worker<Data, void, string, Backend, JobProgress, Connection> {
  protected override createBackend(): void {
    super.createBackend()
    readLeniently(this.backend)
  }

  protected override get Job(): typeof Job {
    return TolerantJob
  }

  protected override async nextJobFromJobData(json?: JobJson, id?: string, token?: string) {
    const job = await super.nextJobFromJobData(json, id, token)
    if (job || !json?.repeatJobKey) return job
    // The run after this one cannot be planned. BullMQ makes neither then, and leaves the job active for ever.
    const { repeatJobKey: _, ...once } = json
    return super.nextJobFromJobData(once, id, token)
  }

  protected override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name)
    } catch (error) {
      // After any error but a lost connection BullMQ asks again at once: a thousand times a second while Redis is full.
      await sleep(PAUSE_AFTER_ERROR_MS)
      throw error
    }
  }

  protected override createJob(json: JobJson, id: string): Job<Data, void, string> {
    return super.createJob({ ...json, opts: { ...json.opts, ...ENVELOPE_JOB_OPTIONS } }, id)
  }
}
