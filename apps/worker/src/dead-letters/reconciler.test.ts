import { randomUUID } from 'node:crypto'
import { findStoredContent, storeStatusEvents } from '@tidings/db/events/status-events'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { type PlacedEntry, toEntry, UNREADABLE_EVENT } from '@tidings/queue/dead-letters/entry'
import { deadLetterId } from '@tidings/queue/dead-letters/entry-id'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { redriveDeadLetters } from '@tidings/queue/dead-letters/redrive'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import type { StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startTestWorker, TestWorker } from '../testing/test-worker.ts'
import { Reconciler, type ReconcilerOptions } from './reconciler.ts'

const log = createLogger('test', 'silent')

const makeFailed = (event: StatusEvent, more: Partial<FailedEvent> = {}): FailedEvent =>
  makeFailedEvent({ eventId: event.id, event, contentHash: event.content_hash, ...more })

describeBackends('a walk through the dead letters', (kind) => {
  const releaser = useReleaser()
  let worker: TestWorker
  let store: DeadLetterStore

  beforeAll(async () => {
    worker = await TestWorker.start(kind, releaser)
    store = await openDeadLetters({ backend: worker.backend, shards: 1, onError: () => {} })
    releaser.onRelease(() => store.close())
  })

  /** Resolves when the walk has ended. Returns the number of dead letters removed. */
  async function walk(more: Partial<ReconcilerOptions> = {}): Promise<number> {
    const ended = Promise.withResolvers<void>()
    let removed = 0
    const reconciler = new Reconciler({
      openStore: async () => ({
        page: (request) => store.page(request),
        discard: (entries) => store.discard(entries),
        close: async () => ended.resolve(),
      }),
      findStored: (ids) => findStoredContent(worker.db, ids),
      countStored: async () => 0,
      onRemoved: (deadLetters) => {
        removed += deadLetters
      },
      log,
      ...more,
    })
    reconciler.walkIfDue()
    await ended.promise
    await reconciler.close()
    return removed
  }
  const storeRows = (...events: StatusEvent[]) => storeStatusEvents(worker.db, events)
  const buryAll = (...failedEvents: FailedEvent[]) => bury(worker.deadLetters, failedEvents)
  const countLetters = async (...events: StatusEvent[]) =>
    (await Promise.all(events.map((event) => worker.findDeadLetters(event)))).flat().length

  it('removes the dead letter of a stored event, with and without an idempotency key', async () => {
    const events = [makeEvent({ event_id: randomUUID() }), makeEvent()]
    await buryAll(...events.map((event) => makeFailed(event)))
    await storeRows(...events)
    expect(await walk()).toBe(2)
    expect(await countLetters(...events)).toBe(0)
  })

  it('leaves the dead letter of an event whose row has other content, or that has no row', async () => {
    const row = makeEvent({ event_id: randomUUID(), status: 'sent' })
    const conflict = makeEvent({ event_id: row.event_id, status: 'delivered' })
    const unstored = makeEvent()
    await storeRows(row)
    await buryAll(makeFailed(conflict, { reason: 'conflict' }), makeFailed(unstored))
    expect(await walk()).toBe(0)
    expect(await countLetters(conflict, unstored)).toBe(2)
  })

  it('leaves the dead letter of an unreadable event whose id is that of a stored event', async () => {
    const row = makeEvent()
    await storeRows(row)
    await buryAll(
      makeFailed(row, {
        event: { ...row, status: 'no such status' },
        reason: 'invalid_event',
        error: { code: UNREADABLE_EVENT, message: 'status: Invalid option' },
      }),
    )
    expect(await walk()).toBe(0)
    expect(await countLetters(row)).toBe(1)
  })

  it('leaves a dead letter that was buried again after it was read, until the next walk', async () => {
    const event = makeEvent()
    const failed = makeFailed(event)
    await buryAll(failed)
    await storeRows(event)
    const removed = await walk({
      async findStored(ids) {
        const rows = await findStoredContent(worker.db, ids)
        const id = deadLetterId(failed)
        await store.rewrite([id], (entry) => ({ ...entry, dead_at: new Date(0).toISOString() }))
        return rows
      },
    })
    expect(removed).toBe(0)
    expect(await countLetters(event)).toBe(1)
    // The next walk reads it as it is now.
    expect(await walk()).toBe(1)
  })

  it('runs when a worker starts, and counts a removed dead letter as a duplicate', async () => {
    const event = makeEvent()
    await buryAll(makeFailed(event))
    await storeRows(event)
    const lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    const duplicates = Promise.withResolvers<number>()
    const ignore = () => {}
    const count = { stored: ignore, dead: ignore, retried: ignore, duplicate: duplicates.resolve }
    await startTestWorker({ db: worker.db, backend: worker.backend, lifecycle, count })
    expect(await duplicates.promise).toBe(1)
    expect(await countLetters(event)).toBe(0)
  })

  /** Each step sends these contents in one job, or does something else meanwhile. */
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }) },
      { weight: 2, arbitrary: fc.constantFrom('register', 'redrive', 'wait') },
    ),
    { minLength: 2, maxLength: 8 },
  )

  it('leaves each event as one row or one dead letter, whatever is sent, registered and redriven in which order', async () => {
    const everything = { selection: { kind: 'filter' as const, filter: {} }, force: true }
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        const user_id = randomUUID()
        const key = { event_id: randomUUID(), user_id }
        const contents = [
          makeEvent(key),
          makeEvent({ ...key, status: 'sent' }),
          // Its own timestamp gives a keyless event the same id each time.
          makeEvent({ user_id, timestamp: '2026-01-01T00:00:00.000Z' }),
        ]
        const sent = new Set<StatusEvent>()
        for (const step of run) {
          if (step === 'register') await worker.addUser(user_id)
          else if (step === 'wait') await worker.untilIdle()
          else if (typeof step === 'string') await redriveDeadLetters(store, everything)
          else {
            const events = step.flatMap((which) => contents[which] ?? [])
            for (const event of events) sent.add(event)
            await worker.enqueue(...events)
          }
        }
        await worker.untilIdle()
        await walk()
        for (const event of sent) {
          const rows = (await worker.findRows(event)).filter(({ status }) => status === event.status)
          expect(rows.length + (await countLetters(event))).toBe(1)
        }
      }),
      { numRuns: 20 },
    )
  })
})

describe('the reconciler', () => {
  let reconciler: Reconciler
  let stored: number
  let walks: number
  let pages: PlacedEntry[][]
  let read: number
  /** Called before each page is read. */
  let onPage: () => Promise<void> | void
  let removed: number

  beforeEach(() => {
    stored = walks = read = removed = 0
    pages = []
    onPage = () => {}
  })
  afterEach(() => reconciler.close())

  function createReconciler(options: Partial<ReconcilerOptions> = {}) {
    reconciler = new Reconciler({
      async openStore() {
        walks++
        read = 0
        return {
          async page() {
            await onPage()
            return pages[read++] ?? []
          },
          discard: async (entries) => entries.map(({ id }) => id),
          close: async () => {},
        }
      },
      findStored: async (ids) => new Map(ids.map((id) => [id, undefined])),
      countStored: async () => stored,
      onRemoved: (deadLetters) => {
        removed += deadLetters
      },
      log,
      walkIntervalMs: 0,
      retryIntervalMs: 0,
      ...options,
    })
  }

  const makePage = (entries: number): PlacedEntry[] =>
    Array.from({ length: entries }, (_, index) => {
      const { event, ...letter } = makeFailedEvent()
      const data = {
        event,
        reason: letter.reason,
        error: letter.error,
        fingerprint: 'f',
        attempts: 1,
        first_failed_at: '',
        dead_at: '',
        source_job_id: null,
        redrives: 0,
      }
      return { entry: toEntry(`dead-${letter.eventId}-00000000`, data), position: String(index), bytes: 1 }
    })

  /** Asks for a walk again and again until the condition holds. */
  const walkUntil = (what: string, condition: () => boolean) =>
    waitFor(
      what,
      () => {
        reconciler.walkIfDue()
        return condition()
      },
      { intervalMs: 1 },
    )

  it('walks through every page', async () => {
    pages = [makePage(150), makePage(3)]
    createReconciler()
    await walkUntil('every dead letter to be removed', () => removed === 153)
    expect(walks).toBe(1)
  })

  it('walks again only when events were stored since the last walk', async () => {
    let counted = 0
    createReconciler({
      async countStored() {
        counted++
        return stored
      },
    })
    await walkUntil('several looks at the counter', () => counted >= 5)
    expect(walks).toBe(1)
    stored++
    await walkUntil('the second walk', () => walks === 2)
  })

  it('waits for its turn between two walks', async () => {
    createReconciler({ walkIntervalMs: 3_600_000, countStored: async () => stored++ })
    await walkUntil('the first walk', () => walks === 1)
    for (let n = 0; n < 10; n++) {
      await new Promise(setImmediate)
      reconciler.walkIfDue()
    }
    expect(walks).toBe(1)
  })

  it('walks again after the retry interval when a page could not be read, though nothing was stored', async () => {
    pages = [makePage(1), makePage(1)]
    onPage = () => {
      if (walks === 1 && read === 1) throw new Error('away')
    }
    createReconciler({ walkIntervalMs: 3_600_000, retryIntervalMs: 20 })
    const startedAt = performance.now()
    await walkUntil('both dead letters to be removed', () => removed === 1 + 2)
    expect(walks).toBe(2)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(20)
  })

  it('ends after the page in hand when it is closed', async () => {
    pages = [makePage(1), makePage(1), makePage(1)]
    const secondPage = Promise.withResolvers<void>()
    let isReadingSecond = false
    onPage = () => {
      if (read !== 1) return
      isReadingSecond = true
      return secondPage.promise
    }
    createReconciler()
    await walkUntil('the second page', () => isReadingSecond)
    const closed = reconciler.close()
    secondPage.resolve()
    await closed
    expect({ read, removed }).toEqual({ read: 2, removed: 1 })
    reconciler.walkIfDue()
    expect(walks).toBe(1)
  })
})
