import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExpectedOutcome, Ledger } from './ledger.ts'
import type { Random } from './random.ts'

export interface LoadOptions {
  /** Base URLs of the APIs. Posts take them in turn. */
  targets(): readonly string[]
  serviceKey: string
  ledger: Ledger
  random: Random
  /** Prefix of the notification ids; unique in the run. */
  label: string
  connections?: number
  /** Posts per second over all connections. A batch is one post. */
  rate?: number
  /** Every third event has one of these users, so that the foreign key is checked. */
  userIds?: readonly string[]
  /** Changes the body or the expected outcome of the nth post. */
  decorate?(n: number): { body?: Record<string, unknown>; expected?: ExpectedOutcome } | undefined
}

export interface Load {
  /** Resolves when the posts in flight have their answers. Safe to call twice. */
  stop(): Promise<void>
}

const BATCH = 5
/** A post without an answer after this time is in doubt. */
const ANSWER_LIMIT_MS = 5_000
const RETRIES = 4

/**
 * Posts events until stopped: single events with and without idempotency key or timestamp, and batches. Repeats a post
 * without a final answer if its events have keys or timestamps, as a careful producer does.
 */
export function startLoad(options: LoadOptions): Load {
  const { ledger, random, connections = 24, rate = 250 } = options
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const runConnection = async () => {
    while (!stopped) {
      const startedAt = performance.now()
      await postNext()
      const pause = (connections * 1000) / rate - (performance.now() - startedAt)
      if (pause > 0) await sleep(pause * (0.5 + random()))
    }
  }
  let stopped = false
  let n = 0
  let turn = 0

  async function postNext() {
    const number = n++
    const kind = number % 4
    const type = number % 2 === 0 ? 'email' : 'push'
    if (kind === 3) {
      const events = Array.from({ length: BATCH }, (_, i) => makeEvent(`${number}.${i}`, number, true))
      await postUntilKnown(
        `/api/v1/${type}/status/batch/`,
        { events: events.map((e) => e.body) },
        events,
        true,
      )
      return
    }
    const event = makeEvent(String(number), number, kind === 0, kind === 2)
    await postUntilKnown(`/api/v1/${type}/status/`, event.body, [event], kind !== 1)
  }

  function makeEvent(suffix: string, number: number, keyed: boolean, dated = false) {
    const notificationId = `${options.label}-${suffix}`
    const special = options.decorate?.(number)
    const userId = number % 3 === 0 ? options.userIds?.[number % options.userIds.length] : undefined
    const body = {
      notification_id: notificationId,
      status: 'delivered',
      ...(keyed && { event_id: `key-${notificationId}` }),
      ...(dated && { timestamp: new Date().toISOString() }),
      ...(userId !== undefined && { user_id: userId }),
      ...special?.body,
    }
    ledger.send(notificationId, special?.expected)
    return { notificationId, body }
  }

  async function postUntilKnown(
    path: string,
    body: unknown,
    events: { notificationId: string }[],
    repeatable: boolean,
  ) {
    const text = JSON.stringify(body)
    for (let attempt = 0; ; attempt++) {
      const startedAt = performance.now()
      const answer = await post(path, text)
      ledger.recordAnswer(answer, performance.now() - startedAt)
      const knowledge = answer === '202' ? 'acknowledged' : /^4\d\d$/.test(answer) ? 'refused' : undefined
      if (knowledge) {
        for (const event of events) ledger.learn(event.notificationId, knowledge)
        return
      }
      // Any other answer leaves the event in doubt. Without a key, a repeat would be another event.
      if (!repeatable || attempt >= RETRIES || stopped) return
      await sleep(100 + 200 * random())
    }
  }

  function post(path: string, text: string): Promise<string> {
    const targets = options.targets()
    const base = targets[turn++ % targets.length]
    if (base === undefined) return Promise.resolve('no target')
    return new Promise((resolve) => {
      const call = request(
        `${base}${path}`,
        {
          method: 'POST',
          agent,
          headers: {
            authorization: `Bearer ${options.serviceKey}`,
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          },
          timeout: ANSWER_LIMIT_MS,
        },
        (response) => {
          response.resume()
          response.on('end', () => resolve(String(response.statusCode)))
          response.on('error', () => resolve('reset'))
        },
      )
      call.on('timeout', () => call.destroy(new Error('timeout')))
      call.on('error', (error: NodeJS.ErrnoException) => resolve(describeError(error, call.reusedSocket)))
      call.end(text)
    })
  }

  const running = Array.from({ length: connections }, runConnection)
  return {
    async stop() {
      stopped = true
      await Promise.all(running)
      agent.destroy()
    },
  }
}

function describeError(error: NodeJS.ErrnoException, isOpenBefore: boolean): string {
  if (error.message === 'timeout') return 'timeout'
  if (error.code === 'ECONNREFUSED') return 'refused connection'
  return isOpenBefore ? 'reset' : 'reset when new'
}
