import type { Tracing } from '@tidings/telemetry/tracing'
import type { BatchWriter, Store } from './batch-writer.ts'

/** The same writer, with each event remembered as its job's. */
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

/** A span for each statement: a batch holds the events of several jobs. */
export function traceStore(store: Store, tracing: Tracing): Store {
  return (events, lane) =>
    tracing.traceBatch(
      {
        name: 'INSERT notification_status',
        kind: 'client',
        attributes: {
          'db.system.name': 'postgresql',
          'db.operation.name': 'INSERT',
          'db.collection.name': 'notification_status',
          'db.operation.batch.size': events.length,
          'tidings.lane': lane,
        },
      },
      events,
      () => store(events, lane),
    )
}
