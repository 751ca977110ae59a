import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExpectedOutcome, Ledger } from './ledger.ts'
import type { Random } from './random.ts'

export interface LoadOptions {
  /** Base URLs; each post takes the next. Read anew for each post. */
  targets(): readonly string[]
  serviceKey: string
  ledger: Ledger
  random: Random
  /** Unique in the whole run. */
  label: string
  connections?: number
  /** Posts a second over all connections; a batch is one post. */
  rate?: number
  /** A user for every third event, so that the foreign key is at work. */
  userIds?: readonly string[]
  /** Makes some events special. */
  decorate?(
    n: number,
  ): { body?: Record<string, unknown>; destiny?: ExpectedOutcome; expectRefusal?: boolean } | undefined
}

export interface Load {
  readonly sent: number
  /** Ends when the posts under way are answered. */
  stop(): Promise<void>
}

const BATCH = 5
/** A post that has no answer after this long is in doubt, in milliseconds. */
const GIVE_UP_MS = 5_000
const RETRIES = 4

/**
 * Posts events until stopped: single ones with and without idempotency key or timestamp, and batches. What
 * has a key is sent again when the answer is missing, as a careful producer would.
 */
export function startLoad(options: LoadOptions): Load {
  const { ledger, random, connections = 24, rate = 250 } = options
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const lane = async () => {
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
    ledger.send(notificationId, special?.destiny)
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
      ledger.noteAnswer(answer, performance.now() - startedAt)
      const knowledge = answer === '202' ? 'acknowledged' : /^4\d\d$/.test(answer) ? 'refused' : undefined
      if (knowledge) {
        for (const event of events) ledger.learn(event.notificationId, knowledge)
        return
      }
      // Anything else leaves it open. Without a key a repeat would be another event.
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
          timeout: GIVE_UP_MS,
        },
        (response) => {
          response.resume()
          response.on('end', () => resolve(String(response.statusCode)))
          response.on('error', () => resolve('reset'))
        },
      )
      call.on('timeout', () => call.destroy(new Error('timeout')))
      call.on('error', (error: NodeJS.ErrnoException) => resolve(nameOf(error)))
      call.end(text)
    })
  }

  const writers = Array.from({ length: connections }, lane)
  return {
    get sent() {
      return n
    },
    async stop() {
      stopped = true
      await Promise.all(writers)
      agent.destroy()
    },
  }
}

function nameOf(error: NodeJS.ErrnoException): string {
  if (error.message === 'timeout') return 'timeout'
  if (error.code === 'ECONNREFUSED') return 'refused connection'
  return 'reset'
}
