import { setTimeout as sleep } from 'node:timers/promises'
import { isTooDeep, mayLoseDigits, parseExactJson } from '@tidings/shared/json'
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
import { MAX_ENTRY_DEPTH } from '../dead-letters/entry.ts'
import { itemsOf, newerVersionOf, replaceItems } from '../envelope.ts'
import { ENVELOPE_JOB_OPTIONS, MAX_JOB_LENGTH } from '../policy.ts'
import { isDeadLetterName } from '../queue-names.ts'

/** Characters kept of data that is too long, so that people can see whose it was. */
const KEPT_DATA_LENGTH = 64 * 1024

/**
 * A job whose data a foreign producer wrote: not JSON, such as Python's NaN, or longer than MAX_JOB_LENGTH. BullMQ
 * throws wherever it reads such a job, and starts it again for ever. Here the text itself becomes the job's data. The
 * text is not an event, so it becomes a dead letter.
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
    // A dead letter is longer than the event in it, and must be read whole to be redriven.
    const isBounded = !isDeadLetterName(queue.name)
    if (isBounded && typeof json.data === 'string' && json.data.length > MAX_JOB_LENGTH) {
      const kept = `${json.data.slice(0, KEPT_DATA_LENGTH)} … (${json.data.length} characters)`
      return Job.fromJSON(queue, { ...json, data: JSON.stringify(kept) }, id)
    }
    try {
      const job = Job.fromJSON<Data, Result, Name>(queue, json, id)
      if (isBounded) job.data = keepDigits(json.data, job.data) as Data
      return job
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      return Job.fromJSON(queue, { ...json, data: JSON.stringify(json.data) }, id)
    }
  }
}

/**
 * Replaces each event that holds a whole number beyond 2^53 - 1 by its text. JSON.parse changes such a number, and two
 * events that differ only there would become one.
 */
function keepDigits(text: string, data: unknown): unknown {
  if (!mayLoseDigits(text) || newerVersionOf(data) !== undefined) return data
  if (isTooDeep(data, MAX_ENTRY_DEPTH)) return data
  const exactItems = itemsOf(parseExactJson(text)).map((item) => JSON.stringify(item))
  const items = itemsOf(data).map((item, index) =>
    exactItems[index] === JSON.stringify(item) ? item : exactItems[index],
  )
  return replaceItems(data, items)
}

/** BullMQ's queue that reads jobs as TolerantJob. For Redis: PostgreSQL accepts only JSON. */
export class TolerantQueue extends Queue {
  protected override get Job(): typeof Job {
    return TolerantJob
  }
}

/** How long a worker waits after its request for a job failed, in milliseconds. */
const PAUSE_AFTER_ERROR_MS = 500

/**
 * BullMQ's worker that reads jobs as TolerantJob and ignores their options: the service's own attempts, backoff and
 * removal apply. With a producer's options, a failed job could be removed, or wait a year for its next attempt. BullMQ
 * takes the options from the job it started, not from the store, whenever a run ends.
 */
export class TolerantWorker<
  Data,
  Backend extends IQueueBackend = RedisQueueBackend,
  Connection = ConnectionOptions,
> extends Worker<Data, void, string, Backend, JobProgress, Connection> {
  protected override get Job(): typeof Job {
    return TolerantJob
  }

  protected override async nextJobFromJobData(json?: JobJson, id?: string, token?: string) {
    const job = await super.nextJobFromJobData(json, id, token)
    if (job || !json?.repeatJobKey) return job
    // BullMQ could not plan the next run of a repeated job. It then returns no job and leaves this one active for ever.
    const { repeatJobKey: _, ...once } = json
    return super.nextJobFromJobData(once, id, token)
  }

  protected override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name)
    } catch (error) {
      // After any error but a lost connection, BullMQ asks again at once: a thousand times a second while Redis is full.
      await sleep(PAUSE_AFTER_ERROR_MS)
      throw error
    }
  }

  protected override createJob(json: JobJson, id: string): Job<Data, void, string> {
    return super.createJob({ ...json, opts: { ...json.opts, ...ENVELOPE_JOB_OPTIONS } }, id)
  }
}
