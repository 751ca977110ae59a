import { ROOT_CONTEXT } from '@opentelemetry/api'
import { type Span, type Telemetry, TelemetryAttributes } from 'bullmq'
import { BullMQOtel } from 'bullmq-otel'

/** BullMQ's spans on the global tracer. Error messages are removed, because they may quote an event. */
export function createQueueTelemetry(): Telemetry {
  const { tracer, contextManager } = new BullMQOtel({ tracerName: 'bullmq' })
  return {
    tracer: {
      startSpan: (name, options, parent) => withoutErrorTexts(tracer.startSpan(name, options, parent)),
    },
    // BullMQ's endless loops start in the root context, not in the span that happens to be active then.
    contextManager: Object.assign(contextManager, { root: () => ROOT_CONTEXT }),
  }
}

function withoutErrorTexts(span: Span): Span {
  const addEvent = span.addEvent.bind(span)
  return Object.assign(span, {
    addEvent: (name: string, { [TelemetryAttributes.JobFailedReason]: _text, ...attributes } = {}) =>
      addEvent(name, attributes),
    recordException: (thrown: unknown) => addEvent('exception', { 'exception.type': errorTypeOf(thrown) }),
  } satisfies Partial<Span>)
}

/** Returns the SQLSTATE, the errno or the error's name. */
export function errorTypeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown'
  return 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : thrown.name
}
