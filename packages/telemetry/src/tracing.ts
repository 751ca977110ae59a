import type { IncomingHttpHeaders } from 'node:http'
import type { Telemetry } from 'bullmq'

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

export interface BatchSpan {
  name: string
  /** `client` for a call to another system, `internal` for work inside this process. */
  kind: 'client' | 'internal'
  attributes: SpanAttributes
}

export interface RequestOutcome {
  /** The route's pattern, never the path, because a path holds ids. */
  route: string
  status: number
  requestId: string
}

/**
 * Tracing as the apps use it. Without a collector there is no such object and no tracer is loaded. Attributes never
 * hold personal data or error messages, because a message may quote a value.
 */
export interface Tracing {
  /** For BullMQ's queues and workers: the worker that takes a job continues its trace. */
  readonly queueTelemetry: Telemetry
  /** `trace_id` and `span_id` for a log line. Empty outside a span. */
  logFields(): Record<string, string>
  /** Runs a request in a server span that continues the caller's W3C traceparent. */
  traceRequest(
    method: string,
    headers: IncomingHttpHeaders,
    answer: () => Promise<RequestOutcome>,
  ): Promise<void>
  /** Links the item to the active span, for a later traceBatch(). */
  follow(item: object): void
  /**
   * Runs work on followed items in a span. When all items belong to one span, the new span is its child. Otherwise
   * it starts a new trace with links in both directions.
   */
  traceBatch<Result>(span: BatchSpan, items: readonly object[], work: () => Promise<Result>): Promise<Result>
  /** Records work that has just ended, as a span in a new trace. */
  recordSpan(name: string, startedAt: Date, attributes: SpanAttributes): void
  /** Calls `report` when spans cannot be delivered. */
  onError(report: (error: unknown) => void): void
  /** Delivers the remaining spans, within 2 s. */
  stop(): Promise<void>
}
