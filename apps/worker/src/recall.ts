import { type DeadLetterEntry, eventFields, MAX_BATCH, SCAN_PAGE } from '@tidings/queue/dead-letter-entry'
import { toRedrivenEvent } from '@tidings/queue/dead-letter-redrive'
import { type DeadLetterStore, scanDeadLetters } from '@tidings/queue/dead-letter-store'
import { findDeadLetterIds, type Identity } from '@tidings/queue/dead-letters'
import { createBatcher } from '@tidings/shared/batcher'
import type { Logger } from '@tidings/shared/log'

/**
 * Keeps an event that died, was sent again and became a row from being both. Its dead letter is redriven: the queue
 * finds that it is a row, and books it as a repeat. So there is no moment at which it is in no book.
 */
export interface Recall {
  /** Takes back the dead letters of events that are rows. Safe to repeat. */
  stored(events: readonly Identity[]): Promise<void>
  /** Takes back those of these dead letters whose events are rows. Safe to repeat. */
  dead(deaths: readonly Identity[]): Promise<void>
  /**
   * Walks through all dead letters when an API has stored events itself since the last time, a minute ago at least:
   * where the queue is away, so are the dead letters, and nobody could look.
   */
  storedPastTheQueue(): Promise<void>
  close(): Promise<void>
}

export interface RecallOptions {
  openStore(): Promise<Pick<DeadLetterStore, 'isEmpty' | 'get' | 'page' | 'requeue' | 'close'>>
  /** Of these event ids, those that are rows, each with the digest of its content if it has one. */
  findStored(ids: readonly string[]): Promise<ReadonlyMap<string, string | undefined>>
  /** Counts the events that were stored past the queue. */
  countStoredByApis(): Promise<number>
  log: Logger
}

/** Events asked for at once. */
const MAX_LOOKUP = 1_000
const MAX_LOOKUPS = 2
/** Between two walks through all dead letters, in milliseconds. */
const WALK_INTERVAL_MS = 60_000

export function createRecall(options: RecallOptions): Recall {
  const { openStore, findStored, log } = options
  let opened: ReturnType<typeof openStore> | undefined
  let walkedFor = 0
  let walkedAtMs = Number.NEGATIVE_INFINITY

  function store() {
    opened ??= openStore().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }

  async function recall(events: readonly Identity[]): Promise<void> {
    const deadLetters = await store()
    // Where there are none, the question for all of them is not even put together.
    if (await deadLetters.isEmpty()) return
    const ids = await findDeadLetterIds(deadLetters, events)
    for (let from = 0; from < ids.length; from += MAX_BATCH) {
      const moved = await deadLetters.requeue(ids.slice(from, from + MAX_BATCH), toRedrivenEvent)
      log.info({ events: moved.length }, 'dead letters taken back: their events came again and are rows')
    }
  }

  // Jobs whose events were written together ask together, and nearly always for nothing.
  const lookups = createBatcher<readonly Identity[], void>({
    maxSize: MAX_LOOKUP,
    sizeOf: (events) => events.length,
    windowMs: 0,
    maxInFlight: MAX_LOOKUPS,
    async flush(jobs) {
      await recall(jobs.flat())
      return jobs.map(() => undefined)
    },
  })

  const stored = (events: readonly Identity[]) =>
    events.length === 0 ? Promise.resolve() : lookups.add(events)

  async function dead(deaths: readonly Identity[]): Promise<void> {
    if (deaths.length === 0) return
    const rows = await findStored(deaths.map(({ eventId }) => eventId))
    await stored(
      deaths.filter(({ eventId, contentHash }) => rows.has(eventId) && rows.get(eventId) === contentHash),
    )
  }

  return {
    stored,
    dead,
    async storedPastTheQueue() {
      if (performance.now() - walkedAtMs < WALK_INTERVAL_MS) return
      const storedByApis = await options.countStoredByApis()
      if (storedByApis === walkedFor) return
      for await (const page of scanDeadLetters(await store(), { pageSize: SCAN_PAGE })) {
        const readable = page.filter(({ entry }) => entry.reason !== 'invalid_event')
        await dead(readable.map(({ entry }) => identityOfEntry(entry)))
      }
      walkedFor = storedByApis
      walkedAtMs = performance.now()
    },
    async close() {
      await lookups.drain()
      await opened?.then(
        (deadLetters) => deadLetters.close(),
        () => undefined,
      )
    },
  }
}

function identityOfEntry({ event }: DeadLetterEntry): Identity {
  const { id = '', contentHash } = eventFields(event)
  return { eventId: id, event, contentHash }
}
