import { Job, type JobProgress, Queue, Worker } from 'bullmq'

/**
 * A job of a producer that wrote something else than JSON, as Python does with NaN. BullMQ would fail to read it
 * wherever it meets it, and start it for ever. Here what was written is the job's data, as text: no event, and so
 * a dead letter.
 */
class LenientJob<Data, Result, Name extends string, Progress extends JobProgress> extends Job<
  Data,
  Result,
  Name,
  Progress
> {
  static override fromJSON<Data, Result, Name extends string>(
    ...[queue, json, id]: Parameters<typeof Job.fromJSON>
  ): Job<Data, Result, Name> {
    try {
      return Job.fromJSON(queue, json, id)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      return Job.fromJSON(queue, { ...json, data: JSON.stringify(json.data) }, id)
    }
  }
}

/** BullMQ's queue in Redis, for jobs whose data are no JSON too. PostgreSQL takes no others. */
export class LenientQueue extends Queue {
  protected override get Job(): typeof Job {
    return LenientJob
  }
}

/** BullMQ's worker on Redis, for jobs whose data are no JSON too. */
export class LenientWorker extends Worker {
  protected override get Job(): typeof Job {
    return LenientJob
  }
}
