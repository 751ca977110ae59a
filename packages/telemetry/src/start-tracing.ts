import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  context,
  DiagLogLevel,
  diag,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
} from '@opentelemetry/semantic-conventions'
import { createQueueTelemetry, errorTypeOf } from './queue-telemetry.ts'
import { BatchSampler } from './sampler.ts'
import type { Tracing } from './tracing.ts'

export interface StartTracingOptions {
  /** `service.name` of every span. */
  service: string
  /** Base URL of an OTLP/HTTP collector. Spans go to /v1/traces below it. */
  endpoint: string
  /** Share of the traces begun in this process that are kept, from 0 to 1. */
  sampledShare: number
}

/** How long stop() waits for the collector, in milliseconds. */
const FLUSH_LIMIT_MS = 2_000
const EXPORT_INTERVAL_MS = 1_000
/** An envelope holds up to 500 events, each from another request. */
const MAX_LINKS = 500
const KINDS = { client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const

/**
 * Starts tracing for the whole process. Call it once, and import this module only when a collector is configured: it
 * loads the SDK.
 */
export function startTracing(options: StartTracingOptions): Tracing {
  const provider = createProvider(options)
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  // No baggage propagator: it would carry data from callers into the queue.
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const tracer = provider.getTracer('tidings')
  const spansOfItems = new WeakMap<object, Span>()

  return {
    queueTelemetry: createQueueTelemetry(),

    logFields() {
      const active = trace.getSpanContext(context.active())
      return active === undefined ? {} : { trace_id: active.traceId, span_id: active.spanId }
    },

    async traceRequest(method, headers, answer) {
      const parent = propagation.extract(ROOT_CONTEXT, headers)
      const span = tracer.startSpan(
        method,
        { kind: SpanKind.SERVER, attributes: { [ATTR_HTTP_REQUEST_METHOD]: method } },
        parent,
      )
      await endAfter(span, async () => {
        const { route, status, requestId } = await context.with(trace.setSpan(parent, span), answer)
        span.updateName(`${method} ${route}`)
        span.setAttributes({
          [ATTR_HTTP_ROUTE]: route,
          [ATTR_HTTP_RESPONSE_STATUS_CODE]: status,
          'tidings.request_id': requestId,
        })
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
      })
    },

    follow(item) {
      const span = trace.getActiveSpan()
      if (span) spansOfItems.set(item, span)
    },

    traceBatch({ name, kind, attributes }, items, work) {
      const origins = new Set(
        items.map((item) => spansOfItems.get(item)).filter((span) => span !== undefined),
      )
      const [only] = origins
      const parent = only && origins.size === 1 ? trace.setSpan(ROOT_CONTEXT, only) : ROOT_CONTEXT
      const linked = origins.size > 1 ? [...origins] : []
      const span = tracer.startSpan(
        name,
        { kind: KINDS[kind], attributes, links: linked.map((origin) => ({ context: origin.spanContext() })) },
        parent,
      )
      for (const origin of linked) if (origin.isRecording()) origin.addLink({ context: span.spanContext() })
      return endAfter(span, () => context.with(trace.setSpan(parent, span), work))
    },

    recordSpan(name, startedAt, attributes) {
      tracer.startSpan(name, { startTime: startedAt, attributes }, ROOT_CONTEXT).end()
    },

    onError(report) {
      setGlobalErrorHandler(report)
      const ignore = () => {}
      const logger = { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore }
      diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
    },

    async stop() {
      const limit = new AbortController()
      const late = sleep(FLUSH_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => undefined)
      await Promise.race([provider.shutdown(), late]).finally(() => limit.abort())
    },
  }
}

function createProvider({ service, endpoint, sampledShare }: StartTracingOptions): TracerProvider {
  return new TracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({ [ATTR_SERVICE_NAME]: service, [ATTR_SERVICE_INSTANCE_ID]: randomUUID() }),
    ),
    sampler: new BatchSampler(sampledShare),
    spanLimits: { linkCountLimit: MAX_LINKS },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: tracesUrl(endpoint) }),
        scheduledDelayMillis: EXPORT_INTERVAL_MS,
      }),
    ],
  })
}

/** Runs the work and ends its span. On failure the span gets the type of the error. */
async function endAfter<Result>(span: Span, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    span.setAttribute(ATTR_ERROR_TYPE, errorTypeOf(error))
    span.setStatus({ code: SpanStatusCode.ERROR })
    throw error
  } finally {
    span.end()
  }
}

/** Appends /v1/traces to the base URL (OpenTelemetry: OTLP exporter configuration, "Endpoint URLs for OTLP/HTTP"). */
function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`
  return url.href
}
