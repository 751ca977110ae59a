import type { Backlog } from '@tidings/queue/backlog'
import { withDeadline } from '@tidings/runtime/deadline'
import { Gauge, type Registry } from 'prom-client'

/** From these ages on the API's health is degraded, in milliseconds: no worker keeps up, or no operator looks. */
const MAX_EVENT_AGE_MS = 5 * 60_000
const MAX_DEAD_LETTER_AGE_MS = 7 * 24 * 3_600_000

/** How long a reading is used, and how long one may take, in milliseconds. */
const CACHE_MS = 2_000
const DEADLINE_MS = 1_000

/** Reads the backlog when it is asked for, so that an idle API reads nothing. */
export class BacklogWatch {
  readonly #read: () => Promise<Backlog | undefined>
  #readAtMs = Number.NEGATIVE_INFINITY
  #isPending = false
  #reading: Promise<Backlog | undefined> = Promise.resolve(undefined)

  /** @param read returns undefined while the queue's store was not reached yet. */
  constructor(read: () => Promise<Backlog | undefined>) {
    this.#read = read
  }

  /** The backlog of the last two seconds; undefined while the queue's store does not answer. */
  read(): Promise<Backlog | undefined> {
    const nowMs = performance.now()
    // A read that hangs holds a connection. Another one would take the next.
    if (this.#isPending || nowMs - this.#readAtMs < CACHE_MS) return this.#reading
    this.#readAtMs = nowMs
    this.#isPending = true
    const read = this.#read().finally(() => {
      this.#isPending = false
    })
    this.#reading = withDeadline(read, DEADLINE_MS, tooLate).catch(() => undefined)
    return this.#reading
  }

  /** Whether an event or a dead letter has waited too long. False while that is unknown. */
  async isBeyondLimits(): Promise<boolean> {
    const backlog = await this.read()
    if (backlog === undefined) return false
    return isOlder(backlog.events, MAX_EVENT_AGE_MS) || isOlder(backlog.deadLetters, MAX_DEAD_LETTER_AGE_MS)
  }
}

const isOlder = (ages: ReadonlyMap<string, number>, limitMs: number) =>
  [...ages.values()].some((age) => age >= limitMs)

const tooLate = () => new Error('The queue does not answer.')

/** Adds gauges of the backlog. A queue whose backlog is unknown is absent. */
export function measureBacklog(watch: BacklogWatch, registry: Registry): void {
  const addGauge = (name: string, help: string, agesOf: (backlog: Backlog) => ReadonlyMap<string, number>) =>
    new Gauge({
      name,
      help,
      labelNames: ['queue'],
      registers: [registry],
      async collect() {
        const backlog = await watch.read()
        this.reset()
        if (backlog === undefined) return
        for (const [queue, ageMs] of agesOf(backlog)) this.set({ queue }, ageMs / 1_000)
      },
    })
  addGauge(
    'tidings_queue_oldest_age_seconds',
    'How long the oldest job of a shard has waited; 0 when none waits.',
    ({ events }) => events,
  )
  addGauge(
    'tidings_dead_letters_oldest_age_seconds',
    'How long the oldest dead letter has waited for an operator; 0 when there is none.',
    ({ deadLetters }) => deadLetters,
  )
}
