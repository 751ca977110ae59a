import type { StatusPublisher } from '@tidings/queue/publisher'
import type { Tracing } from '@tidings/telemetry/tracing'
import type { Ingest } from './ingest.ts'

/** Wraps `ingest` and links each event to the span of its request. */
export function followEvents(ingest: Ingest, tracing: Tracing): Ingest {
  return {
    accept(event, spentMs) {
      tracing.follow(event)
      return ingest.accept(event, spentMs)
    },
    acceptAll(items, spentMs) {
      for (const item of items) tracing.follow(item)
      return ingest.acceptAll(items, spentMs)
    },
    findConflict: (event) => ingest.findConflict(event),
    drain: () => ingest.drain(),
  }
}

/** Wraps `publisher`: each publish is a span that links to the requests of its events. */
export function tracePublish(
  publisher: Pick<StatusPublisher, 'publish'>,
  tracing: Tracing,
): Pick<StatusPublisher, 'publish'> {
  return {
    publish: (items) =>
      tracing.traceBatch(
        {
          name: 'publish envelope',
          kind: 'internal',
          attributes: { 'messaging.batch.message_count': items.length },
        },
        items,
        () => publisher.publish(items),
      ),
  }
}
