import type { Tracing } from './tracing.ts'

export interface TracingSettings {
  OTEL_EXPORTER_OTLP_ENDPOINT?: string | undefined
  OTEL_TRACES_SAMPLER_ARG: number
}

/** Loads and starts tracing when a collector is configured. Otherwise loads nothing and returns undefined. */
export async function openTracing(service: string, settings: TracingSettings): Promise<Tracing | undefined> {
  const endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
  if (endpoint === undefined) return undefined
  const { startTracing } = await import('./start-tracing.ts')
  return startTracing({ service, endpoint, sampledShare: settings.OTEL_TRACES_SAMPLER_ARG })
}
