import { isStoredAs } from '@tidings/db/events/status-events'
import { entryIdsOf, type Identity, identityOf, plainId } from '@tidings/queue/dead-letters/bury'
import { type DeadLetterEntry, eventFields, MAX_BATCH, SCAN_PAGE } from '@tidings/queue/dead-letters/entry'
import { toRedrivenEvent } from '@tidings/queue/dead-letters/redrive'
import { type DeadLetterStore, scanDeadLetters } from '@tidings/queue/dead-letters/store'
import { Batcher } from '@tidings/runtime/batcher'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import { isContentAddressed } from '@tidings/shared/event-identity'
import type { StatusEvent } from '@tidings/shared/status-event'

/**
 * Keeps an event that died, was sent again and became a row from being both. Its dead letter is redriven: the queue
 * finds that it is a row, and books it as a repeat. So there is no moment at which it is in no book.
 */
export interface Reconciler {
  /**
   * Takes back the dead letters of events that are rows now: soon, and nobody waits for it. What a kill or an outage
   * keeps from being looked for, the next walk finds.
   */
  noteStored(events: readonly StatusEvent[]): void
  /** Takes back those of these dead letters whose events are rows. Safe to repeat. */
  check(failedEvents: readonly Identity[]): Promise<void>
  /**
   * Begins a walk through all dead letters if something may have been missed: once at the start, and after an API
   * stored events past the queue; a minute after the last one at the soonest.
   */
  walkIfDue(): void
  close(): Promise<void>
}

export interface ReconcilerOptions {
  openStore(): Promise<Pick<DeadLetterStore, 'isEmpty' | 'get' | 'page' | 'requeue' | 'close'>>
  /** Of these event ids, those that are rows, each with the digest of its content if it has one. */
  findStored(ids: readonly string[]): Promise<ReadonlyMap<string, string | undefined>>
  /** Counts the events that APIs stored themselves: where the queue is away, so are the dead letters. */
  countStoredByApis(): Promise<number>
  log: Logger
  /** Between two walks through all dead letters, in milliseconds. */
  walkIntervalMs?: number
}

/** Entries asked for at once. */
const MAX_LOOKUP = 1_000
/** How long stored events wait to be looked for together, in milliseconds. */
const LOOKUP_WINDOW_MS = 200
/** So many wait at most: the dead letters are slow then, and a walk is cheaper than so many questions. */
const MAX_WAITING = 100_000

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { openStore, findStored, log, walkIntervalMs = 60_000 } = options
  let opened: ReturnType<typeof openStore> | undefined
  let waiting = 0
  /** How many events APIs had stored when the last walk began; undefined when something may have been missed since. */
  let walkedFor: number | undefined
  let walkedAtMs = Number.NEGATIVE_INFINITY
  let walking: Promise<void> | undefined
  let closed = false

  function store() {
    opened ??= openStore().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }

  async function recallRows(entries: readonly DeadLetterEntry[]): Promise<void> {
    const rows = await findStored(entries.map((entry) => eventFields(entry.event).id ?? ''))
    const isRow = ({ reason, event }: DeadLetterEntry) => {
      const { id = '', contentHash } = eventFields(event)
      // An unreadable event never was what became a row under its id.
      if (reason === 'invalid_event' || !isContentAddressed(id, contentHash)) return false
      return isStoredAs(rows, id, contentHash)
    }
    const ids = entries.filter(isRow).map(({ id }) => id)
    for (let from = 0; from < ids.length; from += MAX_BATCH) {
      const moved = await (await store()).requeue(ids.slice(from, from + MAX_BATCH), (entry) =>
        isRow(entry) ? toRedrivenEvent(entry) : undefined,
      )
      log.info({ events: moved.length }, 'dead letters taken back: their events came again and are rows')
    }
  }

  async function recallEntries(ids: readonly string[]): Promise<void> {
    const deadLetters = await store()
    for (let from = 0; from < ids.length; from += MAX_LOOKUP) {
      const entries = await deadLetters.get(ids.slice(from, from + MAX_LOOKUP))
      if (entries.length > 0) await recallRows(entries)
    }
  }

  const lookups = new Batcher<readonly string[], void>({
    maxSize: MAX_LOOKUP,
    sizeOf: (ids) => ids.length,
    windowMs: LOOKUP_WINDOW_MS,
    maxInFlight: 1,
    async flush(jobs) {
      // Where there are none, the question for all of them is not even put together.
      if (!(await (await store()).isEmpty())) await recallEntries(jobs.flat())
      return jobs.map(() => undefined)
    },
  })

  async function walk(): Promise<void> {
    const storedByApis = await options.countStoredByApis()
    if (storedByApis === walkedFor) return
    walkedFor = storedByApis
    // One that fails waits its minute too: it would begin again at the first entry every few seconds.
    walkedAtMs = performance.now()
    try {
      for await (const page of scanDeadLetters(await store(), { pageSize: SCAN_PAGE })) {
        if (closed) return
        await recallRows(page.map(({ entry }) => entry))
      }
    } catch (error) {
      walkedFor = undefined
      throw error
    }
  }

  return {
    noteStored(events) {
      if (waiting >= MAX_WAITING) {
        walkedFor = undefined
        return
      }
      const ids = events.flatMap(placesOf)
      if (ids.length === 0) return
      waiting += ids.length
      lookups
        .add(ids)
        .catch(() => {
          walkedFor = undefined
        })
        .finally(() => {
          waiting -= ids.length
        })
    },
    async check(failedEvents) {
      if (failedEvents.length > 0) await recallEntries(failedEvents.flatMap(entryIdsOf))
    },
    walkIfDue() {
      if (closed || walking || performance.now() - walkedAtMs < walkIntervalMs) return
      walking = walk()
        .catch((error: unknown) => log.debug({ error: errorMessage(error) }, 'dead letters not walked'))
        .finally(() => {
          walking = undefined
        })
    },
    async close() {
      closed = true
      await Promise.all([lookups.drain(), walking])
      await opened?.then(
        (deadLetters) => deadLetters.close(),
        () => undefined,
      )
    },
  }
}

/**
 * Where the event's dead letter would be: nowhere, if it cannot have come before. Without a key only the place that it
 * has nearly always: the other one follows from its whole content, and costs too much to be asked for each event.
 */
function placesOf(event: StatusEvent): string[] {
  if (!isContentAddressed(event.id, event.content_hash)) return []
  const identity = identityOf(event)
  return event.content_hash === undefined ? [plainId(identity)] : entryIdsOf(identity)
}
