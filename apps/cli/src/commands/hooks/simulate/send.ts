import { setTimeout as sleep } from 'node:timers/promises'
import type { Provider } from '@tidings/providers/provider'
import type { SimulatedHook, SimulatedRequest } from '@tidings/providers/simulated'
import { SIMULATORS } from '@tidings/providers/simulators'
import { z } from 'zod'

export interface Totals {
  events: number
  requests: number
  accepted: number
  ignored: number
  invalid: number
  /** Failed requests by what happened: a status, or the error of the connection. */
  failed: Record<string, number>
}

interface SendOptions {
  provider: Provider
  hook: SimulatedHook
  /** Events a second. */
  rate: number
  signal: AbortSignal
  /** Called after each request with the number of events sent so far. */
  onSent(events: number): void
}

const TICK_MS = 50
const MAX_IN_FLIGHT = 16
/** Providers wait for about as long. */
const ANSWER_WITHIN_MS = 10_000

const answerSchema = z.object({
  data: z.object({ accepted: z.number(), ignored: z.number(), invalid: z.number() }),
})

/** Posts the events at the rate, in requests as large as the provider's. Nothing is sent twice. */
export async function sendEvents(events: Iterable<unknown>, options: SendOptions): Promise<Totals> {
  const { provider, hook, rate, signal, onSent } = options
  const { batchSize, request } = SIMULATORS[provider]
  const totals: Totals = { events: 0, requests: 0, accepted: 0, ignored: 0, invalid: 0, failed: {} }
  const inFlight = new Set<Promise<void>>()

  async function send(batch: readonly unknown[]) {
    const failure = await post(request(batch, hook, new Date()), totals)
    if (failure !== undefined) totals.failed[failure] = (totals.failed[failure] ?? 0) + 1
    totals.requests++
    totals.events += batch.length
    onSent(totals.events)
  }

  const startedMs = performance.now()
  let taken = 0
  let batch: unknown[] = []
  const flush = async () => {
    if (batch.length === 0) return
    const sending = send(batch).finally(() => inFlight.delete(sending))
    inFlight.add(sending)
    batch = []
    if (inFlight.size >= MAX_IN_FLIGHT) await Promise.race(inFlight)
  }
  for (const event of events) {
    // One event is due at once, the others as time passes.
    while (taken > ((performance.now() - startedMs) / 1000) * rate && !signal.aborted) {
      await flush()
      await sleep(TICK_MS)
    }
    if (signal.aborted) break
    taken++
    batch.push(event)
    if (batch.length >= batchSize) await flush()
  }
  await flush()
  await Promise.all(inFlight)
  return totals
}

/** Adds the answer to the totals. Returns what went wrong. */
async function post({ url, headers, body }: SimulatedRequest, totals: Totals): Promise<string | undefined> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    })
    const text = await answer.text()
    if (!answer.ok) return String(answer.status)
    const { data } = answerSchema.parse(JSON.parse(text))
    totals.accepted += data.accepted
    totals.ignored += data.ignored
    totals.invalid += data.invalid
    return undefined
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError' ? 'no answer in 10 s' : 'no connection'
  }
}
