import type { ErrorCode } from '@tidings/shared/errors'
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'

/** Returns a recorder for the finished requests of a method and a route. `route` is the pattern, never the path. */
export type RequestMetrics = (method: string, route: string) => (status: number, seconds: number) => void

/** Creates a registry with the process's default metrics. */
export function createRegistry(): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ service: 'tidings-api' })
  collectDefaultMetrics({ register: registry })
  return registry
}

/** From a cached read to a password hash. */
const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

export function createRequestMetrics(registry: Registry): RequestMetrics {
  const durations = new Histogram({
    name: 'tidings_http_request_duration_seconds',
    help: 'Time from the request headers to the answer, by route pattern and status class.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS_SECONDS,
    registers: [registry],
  })
  return (method, route) => {
    // labels() hashes all labels, so each child is looked up only once per status class.
    const children: Histogram.Internal<'method' | 'route' | 'status'>[] = []
    return (status, seconds) => {
      const statusClass = Math.floor(status / 100)
      children[statusClass] ??= durations.labels({ method, route, status: `${statusClass}xx` })
      children[statusClass].observe(seconds)
    }
  }
}

/** Counts refused requests by error code: `4xx` alone does not tell a wrong password from a limit. */
export function createRefusalCounter(registry: Registry): (route: string, error: ErrorCode) => void {
  const refusals = new Counter({
    name: 'tidings_http_refusals_total',
    help: 'Requests that were answered with a problem, by route pattern and error code.',
    labelNames: ['route', 'error'],
    registers: [registry],
  })
  return (route, error) => refusals.inc({ route, error })
}

/** Counts bytes that never became a request, and dropped connections. Neither is in the access log or the durations. */
export function createBrokenRequestCounter(registry: Registry): (reason: string) => void {
  const refused = new Counter({
    name: 'tidings_http_broken_requests_total',
    help: 'Requests that were refused before they could be routed, and dropped connections.',
    labelNames: ['reason'],
    registers: [registry],
  })
  return (reason) => refused.inc({ reason })
}
