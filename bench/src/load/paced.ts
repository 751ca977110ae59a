import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'
import { percentile } from '../statistics.ts'
import { startCpuClock } from './cpu-clock.ts'
import type { LoadPlan, LoadReport } from './protocol.ts'
import { buildHeaders, buildRequests } from './requests.ts'

/** With more unanswered requests than this the server has fallen behind: further requests count as failed. */
const MAX_IN_FLIGHT = 2_000
/** V8 still compiles the generator's code in this time, which adds to the latencies. */
const UNCOUNTED_MS = 1_000
/** Bodies built before the start; they repeat after that. */
const PACED_REQUESTS = 50_000

/**
 * Sends at a fixed rate, however fast the answers come. Latency starts at the moment a request was due, so a stalled
 * server cannot hide its stall by slowing the load (coordinated omission). Latencies of the first second do not count.
 */
export async function runPaced(plan: LoadPlan, perSecond: number): Promise<LoadReport> {
  const pool = new Pool(plan.url, { connections: plan.connections, pipelining: 1 })
  const requests = buildRequests(plan, 0, 1, PACED_REQUESTS)
  const headers = buildHeaders(plan)
  const latencies: number[] = []
  const running = new Set<Promise<void>>()
  let ok = 0
  let failed = 0

  const startedAtMs = Date.now()
  const startMs = performance.now()
  const cpuMs = startCpuClock()

  async function send(index: number, dueMs: number) {
    const request = requests[index % requests.length]
    if (request === undefined) return
    try {
      const { path, method, body = null } = request
      const response = await pool.request({ path, method, headers, body, headersTimeout: 10_000 })
      await response.body.dump()
      if (response.statusCode >= 300) failed++
      else {
        ok++
        if (dueMs - startMs >= UNCOUNTED_MS) latencies.push(performance.now() - dueMs)
      }
    } catch {
      failed++
    }
  }

  const total = Math.round(perSecond * plan.seconds)
  let sent = 0
  while (sent < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1_000) + 1)
    for (; sent < due; sent++) {
      if (running.size >= MAX_IN_FLIGHT) failed++
      else {
        const request = send(sent, startMs + (sent * 1_000) / perSecond)
        running.add(request)
        void request.finally(() => running.delete(request))
      }
    }
    await delay(1)
  }
  await Promise.all(running)
  const seconds = (performance.now() - startMs) / 1_000
  const usedMs = cpuMs()
  await pool.close()
  return {
    startedAtMs,
    seconds,
    ok,
    failed,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpuMs: usedMs,
  }
}
