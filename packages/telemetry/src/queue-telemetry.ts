import { ROOT_CONTEXT } from '@opentelemetry/api'
import { type Span, type Telemetry, TelemetryAttributes } from 'bullmq'
import { BullMQOtel } from 'bullmq-otel'

/** BullMQ's own spans on the global tracer, without the texts of errors: those may quote an event. */
export function createQueueTelemetry(): Telemetry {
  const { tracer, contextManager } = new BullMQOtel({ tracerName: 'bullmq' })
  return {
    tracer: {
      startSpan: (name, options, parent) => withoutErrorTexts(tracer.startSpan(name, options, parent)),
    },
    // The root lets BullMQ's endless loops begin outside of whichever span was active when they started.
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

/** SQLSTATE, errno or the error's name. */
export function errorTypeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown'
  return 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : thrown.name
}
