/** One request of a load. */
export interface LoadRequest {
  method: 'GET' | 'POST'
  path: string
  body?: string
}

/** What is asked of a load process. */
export interface LoadPlan {
  url: string
  bearer: string | undefined
  connections: number
  seconds: number
  traffic:
    | {
        kind: 'events' /** Events per request. */
        batch: number /** Starts each notification's id. */
        label: string
      }
    | {
        kind: 'requests' /** Shared out to the connections, then again from the first. */
        requests: LoadRequest[]
      }
  /** Requests per second, evenly spaced; without it each connection sends as soon as it has its answer. */
  perSecond?: number
  /** Ends after this many requests instead of by time; only without `perSecond`. */
  amount?: number
}

/** What a load process saw. Latencies in milliseconds. */
export interface LoadReport {
  startedAtMs: number
  seconds: number
  /** Answers with 2xx. */
  ok: number
  /** Other answers, connection errors, timeouts. */
  failed: number
  p50Ms: number
  p99Ms: number
  /** Processor time that making the load took. */
  cpuMs: number
}
