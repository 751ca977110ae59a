import { PROVIDERS, type Provider } from '@tidings/providers/provider'
import { SIMULATED_OUTCOMES } from '@tidings/providers/simulated'
import { useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { anyJson } from '../testing/fuzz/arbitrary-json.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import {
  HOOK_VARIABLES,
  makeHook,
  postToHook,
  signEvents,
  simulateEvents,
  type TestHook,
} from '../testing/test-hooks.ts'

const RUNS = 10_000
/** FUZZ_SEED repeats a run. */
const SEED = Number(process.env.FUZZ_SEED ?? 42)
const IN_FLIGHT = 16

interface Draw {
  provider: Provider
  outcome: (typeof SIMULATED_OUTCOMES)[number]
  /** Replaces a member of the event, or the event. */
  value: unknown
  /** Which member. */
  place: number
  how: 'event' | 'member' | 'added member' | 'signature' | 'body'
}

const draws = fc.record<Draw>({
  provider: fc.constantFrom(...PROVIDERS),
  outcome: fc.constantFrom(...SIMULATED_OUTCOMES),
  value: anyJson,
  place: fc.nat(100),
  how: fc.constantFrom('event', 'member', 'member', 'member', 'added member', 'signature', 'body'),
})

describe('payloads that no provider sends', () => {
  const releaser = useReleaser()
  let api: TestApi
  const hooks = {} as Record<Provider, TestHook>
  beforeAll(async () => {
    api = await startTestApi(releaser, HOOK_VARIABLES)
    for (const provider of PROVIDERS) hooks[provider] = await makeHook(api.database, provider)
  })

  function makeRequest({ provider, outcome, value, place, how }: Draw) {
    const hook = hooks[provider]
    const [event = {}] = simulateEvents(hook, { outcome })
    const events = [
      how === 'event' ? value : how === 'body' || how === 'signature' ? event : change(event, how),
    ]
    const request = sign(hook, events) ?? sign(hook, simulateEvents(hook))
    if (request === undefined) throw new Error('A request that was not changed cannot be signed')
    for (const [name, given] of Object.entries(request.headers))
      request.headers[name] = header(how === 'signature' ? value : given)
    return how === 'body' ? { ...request, body: Buffer.from(text(value)) } : request

    function change(original: unknown, kind: 'member' | 'added member'): unknown {
      const members = { ...(original as Record<string, unknown>) }
      const names = Object.keys(members)
      const name = names[place % names.length] ?? 'event'
      members[kind === 'member' ? name : `extra-${place}`] = value
      return members
    }
  }

  /** Undefined where the simulator cannot write the value, such as an object in a form. */
  function sign(hook: TestHook, events: unknown[]) {
    try {
      return signEvents(hook, events)
    } catch {
      return undefined
    }
  }

  it(`get no 5xx: ${RUNS} of them (seed ${SEED})`, async () => {
    const statuses = new Map<number, number>()
    const pending = fc.sample(draws, { numRuns: RUNS, seed: SEED })
    const work = async () => {
      for (let draw = pending.pop(); draw !== undefined; draw = pending.pop()) {
        const request = makeRequest(draw)
        let answer = await postToHook(api.apiUrl, request)
        // A provider sends again what a busy machine could not store in time.
        while (answer.headers.has('retry-after')) answer = await postToHook(api.apiUrl, request)
        await answer.arrayBuffer()
        expect(answer.status, JSON.stringify(draw)).toBeLessThan(500)
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, work))
    expect([...statuses.keys()].sort()).toEqual([200, 401])
    expect(statuses.get(200)).toBeGreaterThan(RUNS / 2)
    expect((await fetch(`${api.apiUrl}/health/ready`)).status).toBe(200)
  }, 600_000)
})

/** Text that can be sent: a lone surrogate becomes a question mark. */
const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)) ?? ''
const header = (value: unknown) =>
  text(value)
    .replace(/[^ -~]/g, '?')
    .slice(0, 500)
