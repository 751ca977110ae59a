import { setTimeout as delay } from 'node:timers/promises'
import { Client, type Dispatcher } from 'undici'
import { percentile } from '../statistics.ts'
import { startCpuClock } from './cpu-clock.ts'
import type { LoadPlan, LoadReport } from './protocol.ts'
import { buildHeaders, buildRequests } from './requests.ts'

/** Requests built for each connection before the start; enough that few notification ids repeat. */
const SINGLE_REQUESTS = 1_000
const BATCH_REQUESTS = 20
/** Of each connection and second, for events that can be sent once only: more than an API takes. */
const HOOK_REQUESTS_PER_SECOND = 25
const ANSWER_LIMIT_MS = 10_000
/** Pause after a connection error, to avoid a tight loop while the server is down. */
const ERROR_PAUSE_MS = 50

/**
 * Each connection sends its next request as soon as it has the answer to the last one. This finds the highest rate.
 * It uses undici's dispatcher, below its promises and streams, because the generator takes its processor time from the
 * cores that the server uses.
 */
export async function runClosedLoop(plan: LoadPlan): Promise<LoadReport> {
  const { traffic, connections } = plan
  const count = countRequests(plan)
  const headers = buildHeaders(plan)
  const writers = Array.from({ length: connections }, (_, connection) => ({
    client: new Client(plan.url, {
      pipelining: 1,
      headersTimeout: ANSWER_LIMIT_MS,
      bodyTimeout: ANSWER_LIMIT_MS,
    }),
    requests: buildRequests(plan, connection, connections, count).map(
      ({ path, method, body = null, headers: own }): Dispatcher.DispatchOptions => ({
        path,
        method,
        headers: { ...headers, ...own },
        body,
      }),
    ),
  }))
  const latencies: number[] = []
  let failed = 0
  let left = plan.amount ?? Number.POSITIVE_INFINITY
  const startedAtMs = Date.now()
  const startMs = performance.now()
  const cpuMs = startCpuClock()
  const endMs = plan.amount === undefined ? startMs + plan.seconds * 1_000 : Number.POSITIVE_INFINITY

  await Promise.all(
    writers.map(async ({ client, requests }) => {
      for (let n = 0; performance.now() < endMs && left > 0; n++) {
        if (traffic.kind === 'hook' && n >= requests.length) break
        left--
        const request = requests[n % requests.length]
        if (request === undefined) throw new Error('There are no requests to send')
        const answer = await ask(client, request)
        if (answer.ok) latencies.push(answer.ms)
        else failed++
        if (answer.broken) await delay(ERROR_PAUSE_MS)
      }
    }),
  )
  const seconds = (performance.now() - startMs) / 1_000
  const usedMs = cpuMs()
  await Promise.all(writers.map(({ client }) => client.close()))
  return {
    startedAtMs,
    seconds,
    ok: latencies.length,
    failed,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpuMs: usedMs,
  }
}

/** Requests to build for each connection. */
function countRequests({ traffic, seconds }: LoadPlan): number {
  if (traffic.kind === 'hook') return Math.ceil(seconds * HOOK_REQUESTS_PER_SECOND)
  return traffic.kind === 'events' && traffic.batch > 1 ? BATCH_REQUESTS : SINGLE_REQUESTS
}

interface Answer {
  ok: boolean
  /** The connection broke or the answer was too late. */
  broken: boolean
  ms: number
}

/** Never rejects. */
function ask(client: Client, request: Dispatcher.DispatchOptions): Promise<Answer> {
  return new Promise((resolve) => {
    const sentMs = performance.now()
    let status = 0
    const settle = (broken: boolean) =>
      resolve({ ok: !broken && status < 300, broken, ms: performance.now() - sentMs })
    client.dispatch(request, {
      onRequestStart() {},
      onResponseStart(_controller, statusCode) {
        status = statusCode
      },
      onResponseData() {},
      onResponseEnd: () => settle(false),
      onResponseError: () => settle(true),
    })
  })
}
