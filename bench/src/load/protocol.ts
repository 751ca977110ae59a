/** One request of a load. */
export interface LoadRequest {
  method: 'GET' | 'POST'
  path: string
  body?: string
  headers?: Record<string, string>
}

/** Events as SendGrid posts them. The load ends when all requests were sent. */
export interface HookTraffic {
  kind: 'hook'
  /** Such as /hooks/sendgrid/0123…. */
  path: string
  /** Signs for the hook, as PEM. */
  privateKey: string
  batch: number
  label: string
}

/** The message to a load process. */
export interface LoadPlan {
  url: string
  bearer: string | undefined
  connections: number
  seconds: number
  traffic: /** New events, `batch` in each request. `label` is the prefix of each notification id. */
    | { kind: 'events'; batch: number; label: string }
    | HookTraffic
    /** These requests, divided among the connections. Each connection repeats its own. */
    | { kind: 'requests'; requests: LoadRequest[] }
  /** Requests per second, evenly spaced. Without it, each connection sends as soon as it has its last answer. */
  perSecond?: number
  /** Ends after this number of requests instead of by time. Only without `perSecond`. */
  amount?: number
}

/** The answer of a load process. */
export interface LoadReport {
  startedAtMs: number
  seconds: number
  /** Answers with 2xx. */
  ok: number
  /** Other answers, connection errors, timeouts. */
  failed: number
  p50Ms: number
  p99Ms: number
  /** Processor time that the generator used. */
  cpuMs: number
}
