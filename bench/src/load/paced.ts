import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'
import { percentile } from '../statistics.ts'
import { startCpuClock } from './cpu-clock.ts'
import type { LoadPlan, LoadReport } from './protocol.ts'
import { headersOf, requestsOf } from './requests.ts'

/** More than this without an answer and the server has fallen behind: what is due then counts as failed. */
const MAX_IN_FLIGHT = 2_000
/** The generator's own code is still being compiled: what it sees then says little about the server. */
const UNCOUNTED_MS = 1_000
/** Built before the start. */
const PACED_REQUESTS = 50_000

/**
 * Sends at a fixed rate whatever the answers do. Latency counts from the moment a request was due, so a
 * server that stalls cannot hide it by slowing the load down. The first second's latencies are left out.
 */
export async function runPaced(plan: LoadPlan, perSecond: number): Promise<LoadReport> {
  const pool = new Pool(plan.url, { connections: plan.connections, pipelining: 1 })
  const requests = requestsOf(plan, 0, 1, PACED_REQUESTS)
  const headers = headersOf(plan)
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
