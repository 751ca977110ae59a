import type { Tracing } from '@tidings/telemetry/tracing'
import type { BatchWriter, Store } from './batch-writer.ts'

/** Links each event to the trace of its job, so that the span of a batch can name all of its jobs. */
export function followWrites(writer: BatchWriter, tracing: Tracing): BatchWriter {
  return {
    write(events) {
      for (const event of events) tracing.follow(event)
      return writer.write(events)
    },
    writeAlone(event) {
      tracing.follow(event)
      return writer.writeAlone(event)
    },
    drain: () => writer.drain(),
  }
}

/** Records one span for each call of `store`. The span links to all jobs of the batch. */
export function traceStore(store: Store, tracing: Tracing): Store {
  return (events) =>
    tracing.traceBatch(
      {
        name: 'INSERT notification_status',
        kind: 'client',
        attributes: {
          'db.system.name': 'postgresql',
          'db.operation.name': 'INSERT',
          'db.collection.name': 'notification_status',
          'db.operation.batch.size': events.length,
        },
      },
      events,
      () => store(events),
    )
}
