import { randomUUID } from 'node:crypto'
import { removeExpiredKeys } from '@tidings/db/events/event-keys'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { findStoredContent } from '@tidings/db/events/stored-content'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { deadLetterId } from '@tidings/queue/dead-letters/entry-id'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { redriveDeadLetters } from '@tidings/queue/dead-letters/redrive'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLogger } from '@tidings/runtime/log'
import type { StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { TestWorker } from '../testing/test-worker.ts'
import { Reconciler, type ReconcilerOptions } from './reconciler.ts'

const log = createLogger('test', 'silent')

const makeFailed = (event: StatusEvent, more: Partial<FailedEvent> = {}): FailedEvent =>
  makeFailedEvent({ eventId: event.id, event, contentHash: event.content_hash, ...more })

/** Resolves when the walk has ended. Returns the number of dead letters removed. */
async function walkOnce(
  worker: TestWorker,
  store: DeadLetterStore,
  more: Partial<ReconcilerOptions> = {},
): Promise<number> {
  const ended = Promise.withResolvers<void>()
  let removed = 0
  const reconciler = new Reconciler({
    openStore: async () => ({
      parts: store.parts,
      away: [],
      discard: (entries) => store.discard(entries),
      close: async () => ended.resolve(),
    }),
    findStored: (events) => findStoredContent(worker.db, events),
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

describeBackends('a walk through the dead letters', (kind) => {
  const releaser = useReleaser()
  let worker: TestWorker
  let store: DeadLetterStore

  beforeAll(async () => {
    worker = await TestWorker.open(kind, releaser)
    store = await openDeadLetters({ backend: worker.backend, shards: 1, onError: () => {} })
    releaser.onRelease(() => store.close())
  })

  const walk = (more?: Partial<ReconcilerOptions>) => walkOnce(worker, store, more)
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
        error: { code: 'invalid_event', message: 'status: Invalid option' },
      }),
    )
    expect(await walk()).toBe(0)
    expect(await countLetters(row)).toBe(1)
  })

  it('removes the dead letter of an event whose row is older than its key is kept', async () => {
    const at = new Date(Date.now() - 40 * 86_400_000).toISOString()
    const event = { ...makeEvent({ event_id: randomUUID() }), received_at: at }
    await storeRows(event)
    await removeExpiredKeys(worker.db, new Date(Date.now() - 35 * 86_400_000))
    await buryAll(makeFailed(event))
    expect(await walk()).toBe(1)
  })

  it('leaves a dead letter that was buried again after it was read, until the next walk', async () => {
    const event = makeEvent()
    const failed = makeFailed(event)
    await buryAll(failed)
    await storeRows(event)
    const removed = await walk({
      async findStored(events) {
        const rows = await findStoredContent(worker.db, events)
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
    const duplicates = Promise.withResolvers<number>()
    const ignore = () => {}
    const count = { stored: ignore, dead: ignore, retried: ignore, duplicate: duplicates.resolve }
    await worker.start({ count })
    expect(await duplicates.promise).toBe(1)
    expect(await countLetters(event)).toBe(0)
  })
})

/** Each step sends these contents in one job, or does something else meanwhile. */
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }) },
    { weight: 2, arbitrary: fc.constantFrom('register', 'redrive', 'wait') },
  ),
  { minLength: 2, maxLength: 8 },
)

describeBackends('a worker and a walk', (kind) => {
  const releaser = useReleaser()

  it('leave each event as one row or one dead letter, in whatever order events are sent and redriven', async () => {
    const everything = { selection: { kind: 'filter' as const, filter: {} }, force: true }
    const worker = await TestWorker.start(kind, releaser)
    const store = await openDeadLetters({ backend: worker.backend, shards: 1, onError: () => {} })
    releaser.onRelease(() => store.close())
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        await worker.deadLetters.drain()
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
        await walkOnce(worker, store)
        for (const event of sent) {
          const rows = (await worker.findRows(event)).filter(({ status }) => status === event.status)
          expect(rows.length + (await worker.findDeadLetters(event)).length).toBe(1)
        }
      }),
      { numRuns: 20 },
    )
  })
})
