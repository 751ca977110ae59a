import type { IncomingHttpHeaders } from 'node:http'
import type { Telemetry } from 'bullmq'

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

export interface BatchSpan {
  name: string
  /** `client` for a call of another system's, `internal` for work of our own. */
  kind: 'client' | 'internal'
  attributes: SpanAttributes
}

export interface RequestOutcome {
  /** The route's pattern, never the path: a path holds ids. */
  route: string
  status: number
  requestId: string
}

/**
 * What the apps ask of tracing. When it is off there is no such object, and no tracer is loaded. No attribute holds personal data or the text of an error, which may quote a value.
 */
export interface Tracing {
  /** For BullMQ's queues and workers: the trace goes on in whoever takes the job. */
  readonly queueTelemetry: Telemetry
  /** `trace_id` and `span_id` for a log line; empty outside of a span. */
  logFields(): Record<string, string>
  /** Runs a request in a server span that continues the caller's W3C traceparent. */
  traceRequest(
    method: string,
    headers: IncomingHttpHeaders,
    answer: () => Promise<RequestOutcome>,
  ): Promise<void>
  /** Remembers that the active span is what this item is worked on for. */
  follow(item: object): void
  /**
   * Runs work on items that were followed. Items of one span make a child of it; items of several make a
   * trace of its own, with links from and to each.
   */
  traceBatch<Result>(span: BatchSpan, items: readonly object[], work: () => Promise<Result>): Promise<Result>
  /** A span of its own trace for what has just ended. */
  recordSpan(name: string, startedAt: Date, attributes: SpanAttributes): void
  /** Who is told that spans could not be delivered. */
  onError(report: (error: unknown) => void): void
  /** Delivers what is left, within 2 s. */
  stop(): Promise<void>
}
