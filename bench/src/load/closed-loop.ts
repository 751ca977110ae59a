import autocannon from 'autocannon'
import type { LoadPlan, LoadReport } from './protocol.ts'
import { headersOf, requestsOf } from './requests.ts'

/** Requests built for each connection before the start: enough that notifications seldom repeat. */
const SINGLE_REQUESTS = 1_000
const BATCH_REQUESTS = 20

/** Each connection sends its next request when it has the answer to the last one: finds the most there is. */
export async function runClosedLoop(plan: LoadPlan): Promise<LoadReport> {
  const { traffic, connections } = plan
  const count = traffic.kind === 'events' && traffic.batch > 1 ? BATCH_REQUESTS : SINGLE_REQUESTS
  const headers = headersOf(plan)
  let connection = 0
  let startedAtMs = 0
  const result = await autocannon({
    url: plan.url,
    connections,
    headers,
    ...(plan.amount === undefined ? { duration: plan.seconds } : { amount: plan.amount }),
    setupClient(client) {
      const requests = requestsOf(plan, connection++, connections, count)
      client.setRequests(requests.map((request) => ({ ...request, headers })))
      startedAtMs = Date.now()
    },
  })
  return {
    startedAtMs,
    seconds: (result.finish.getTime() - startedAtMs) / 1_000,
    ok: result['2xx'],
    failed: result.non2xx + result.errors,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}
