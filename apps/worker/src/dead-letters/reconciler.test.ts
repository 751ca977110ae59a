import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '@tidings/db/database'
import { findStoredContent, storeStatusEvents } from '@tidings/db/events/status-events'
import { prepareQueueBackend } from '@tidings/queue/backend'
import type { FailedEvent, identityOf } from '@tidings/queue/dead-letters/bury'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { redriveDeadLetters } from '@tidings/queue/dead-letters/redrive'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { readBalance } from '@tidings/queue/event-balance'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { bury } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { identifyEvent } from '@tidings/shared/event-identity'
import type { StatusEvent, StatusReport } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { StatusWorker } from '../status-worker.ts'
import { startTestWorker } from '../testing/start-test-worker.ts'
import { type Bury, createBury } from './bury.ts'
import { createReconciler, type Reconciler, type ReconcilerOptions } from './reconciler.ts'

const log = createLogger('test', 'silent')

function makeEvent(report: Partial<StatusReport> = {}): StatusEvent {
  return identifyEvent(
    { notification_id: 'n', status: 'sent', timestamp: '2026-01-01T00:00:00.000Z', ...report },
    { type: 'email', source: 'test', receivedAt: new Date() },
  )
}

const deathOf = (event: StatusEvent, reason: FailedEvent['reason'] = 'retries_exhausted'): FailedEvent => ({
  ...identityOf(event),
  reason,
  error: { code: '53300', message: 'as the test says' },
  attempts: 4,
  firstFailedAt: new Date(),
  sourceJobId: null,
  redrives: 0,
})

describeBackends('an event that is dead', (kind) => {
  const releaser = useReleaser()
  let db: Database
  let worker: StatusWorker
  let store: DeadLetterStore
  let openStore: () => Promise<DeadLetterStore>
  let reconciler: Reconciler
  let bury: Bury

  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    db = database.database
    const backend = await createTestBackend(kind, releaser, database)
    await prepareQueueBackend(backend)
    const lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    worker = await startTestWorker({ db, backend, lifecycle })
    openStore = () => openDeadLetters({ backend, shards: 1, onError: () => {} })
    store = releaser.add(await openStore(), (it) => it.close())
    reconciler = recallWith({})
    bury = createBury(worker.deadLetters, async () => new Set(), reconciler)
  })

  function recallWith(more: Partial<ReconcilerOptions>) {
    return releaser.add(
      createReconciler({
        openStore,
        findStored: (ids) => findStoredContent(db, ids),
        countStoredByApis: async () => 0,
        log,
        walkIntervalMs: 0,
        ...more,
      }),
      (it) => it.close(),
    )
  }
  const enqueue = (...events: StatusEvent[]) =>
    worker.queues[0]?.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  const register = (id: string) =>
    db.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, $2, 'A', '!') ON CONFLICT DO NOTHING`,
      [id, `${id}@example.com`],
    )
  const untilIdle = () =>
    waitFor('the queue to be empty', async () => (await store.countQueuedEvents()) === 0, {
      timeoutMs: 30_000,
    })
  const findRows = async ({ id, status }: StatusEvent) =>
    (await db.pool.query('SELECT 1 FROM notification_status WHERE id = $1 AND status = $2', [id, status]))
      .rows.length
  const findLetters = async ({ id, content_hash, status }: StatusEvent) =>
    (await store.get([`dead-${id}`, `dead-${id}-${content_hash?.slice(0, 8)}`])).filter(
      ({ event }) => (event as StatusEvent).status === status,
    ).length
  const untilRecalled = (event: StatusEvent) =>
    waitFor('the dead letter to be gone', async () => (await findLetters(event)) === 0)
  const writeRow = (event: StatusEvent) => storeStatusEvents(db, [event])

  it.each([
    ['with', { event_id: 'k' }],
    ['without', {}],
  ])('is a row and dead no more when it comes again and can be stored, %s a key', async (_, key) => {
    const user_id = randomUUID()
    const event = makeEvent({ user_id, ...key })
    await enqueue(event)
    await waitFor('its death', async () => (await findLetters(event)) === 1)
    await register(user_id)
    await enqueue(makeEvent({ user_id, ...key }))
    await untilRecalled(event)
    await untilIdle()
    expect(await findRows(event)).toBe(1)
    expect(await findLetters(event)).toBe(0)
  })

  it('is dead no more when it became a row while it was buried', async () => {
    const event = makeEvent({ event_id: randomUUID() })
    await writeRow(event)
    await bury([deathOf(event)])
    await untilRecalled(event)
    await untilIdle()
    expect(await findRows(event)).toBe(1)
    expect(await findLetters(event)).toBe(0)
  })

  it('is dead no more when its row is found only by the worker that comes after a killed one', async () => {
    const event = makeEvent({ event_id: randomUUID() })
    await bury(worker.deadLetters, [deathOf(event)])
    await writeRow(event)
    await reconciler.check([identityOf(event)])
    await untilRecalled(event)
  })

  it('is dead no more when it was a row before the worker started, or an API stored it meanwhile', async () => {
    const [event, later, ...others] = Array.from({ length: 20 }, () =>
      makeEvent({ event_id: randomUUID() }),
    ) as [StatusEvent, StatusEvent, ...StatusEvent[]]
    await bury(
      worker.deadLetters,
      [...others, event, later].map((each) => deathOf(each)),
    )
    await writeRow(event)
    let storedByApis = 5
    let asked = 0
    const walker = recallWith({
      countStoredByApis: async () => {
        asked++
        return storedByApis
      },
    })
    const walkAgain = () =>
      waitFor('two more walks', () => {
        walker.walkIfDue()
        return asked >= 2
      })
    walker.walkIfDue()
    await untilRecalled(event)
    await writeRow(later)
    await walkAgain()
    expect(await findLetters(later)).toBe(1)
    storedByApis++
    await walkAgain()
    walker.walkIfDue()
    await untilRecalled(later)
    await untilIdle()
    expect([await findRows(event), await findRows(later)]).toEqual([1, 1])
    expect(await Promise.all(others.map(findLetters))).toEqual(others.map(() => 1))
  })

  it('is found by the next walk when the dead letters could not be asked', async () => {
    let isAway = false
    const flaky = recallWith({
      openStore: async () => {
        const opened = await openStore()
        const unlessAway = <Result>(ask: () => Promise<Result>) =>
          isAway ? Promise.reject(new Error('away')) : ask()
        return {
          ...opened,
          isEmpty: () => unlessAway(opened.isEmpty),
          get: (ids) => unlessAway(() => opened.get(ids)),
        }
      },
    })
    flaky.walkIfDue()
    const event = makeEvent({ event_id: randomUUID() })
    await bury(worker.deadLetters, [deathOf(event)])
    await writeRow(event)
    isAway = true
    await expect(flaky.check([identityOf(event)])).rejects.toThrow('away')
    flaky.noteStored([event])
    await waitFor('the walk', async () => {
      flaky.walkIfDue()
      return (await findLetters(event)) === 0
    })
  })

  it('stays dead while it is no row, or the row has other content, or it never could be one', async () => {
    const [key, own] = [randomUUID(), randomUUID()]
    const [row, conflict, none, unreadable] = [
      makeEvent({ event_id: key }),
      makeEvent({ event_id: key, status: 'delivered' }),
      makeEvent({ event_id: randomUUID() }),
      makeEvent(),
    ] as const
    await writeRow(row)
    await writeRow(unreadable)
    await bury([
      deathOf(conflict, 'conflict'),
      deathOf(none),
      { ...deathOf(unreadable, 'invalid_event'), event: { ...unreadable, status: 'no status' } },
    ])
    await reconciler.check([row, unreadable, conflict, none].map(identityOf))
    // Under an id of the producer's own choice, and without a key, it may be anything.
    const [chosen, other] = ['sent', 'delivered'].map((status) => ({ ...makeEvent(), id: own, status }))
    await writeRow(chosen as StatusEvent)
    await bury([deathOf(other as StatusEvent)])
    reconciler.walkIfDue()
    await untilIdle()
    expect(await Promise.all([conflict, none, other as StatusEvent].map(findLetters))).toEqual([1, 1, 1])
    expect(await store.get([`dead-${unreadable.id}`])).toHaveLength(1)
  })

  /** Steps of a run: which contents are sent in one job, or what happens meanwhile. */
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }) },
      { weight: 2, arbitrary: fc.constantFrom('register', 'redrive', 'wait') },
    ),
    { minLength: 2, maxLength: 8 },
  )
  /** What the books say of all there is, with what was found in a job that came again. */
  const countBooked = async () => {
    const { stored, duplicate, redelivered, dead } = await readBalance(db, store)
    return stored + duplicate + redelivered + dead
  }

  it('is one row or one dead letter in the end, whatever is sent, registered and redriven when', async () => {
    await untilIdle()
    const before = await countBooked()
    const everything = { selection: { kind: 'filter' as const, filter: {} }, force: true }
    let sentEvents = 0
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        const user_id = randomUUID()
        const key = { event_id: randomUUID(), user_id }
        const contents = [
          () => makeEvent(key),
          () => makeEvent({ ...key, status: 'delivered' }),
          () => makeEvent({ user_id }),
        ]
        const sent = new Set<number>()
        for (const step of run) {
          if (step === 'register') await register(user_id)
          else if (step === 'wait') await untilIdle()
          else if (typeof step === 'string') await redriveDeadLetters(store, everything)
          else {
            for (const which of step) sent.add(which)
            sentEvents += step.length
            await enqueue(...step.flatMap((which) => contents[which]?.() ?? []))
          }
        }
        await waitFor('each to be in one place', async () => {
          await untilIdle()
          for (const which of sent) {
            const event = contents[which]?.() as StatusEvent
            const places = { rows: await findRows(event), letters: await findLetters(event) }
            if (places.rows + places.letters !== 1) throw new Error(JSON.stringify({ which, ...places }))
          }
          return true
        })
      }),
      { numRuns: 20 },
    )
    await untilIdle()
    // None is missing. Of a death that was redriven and died again within a moment nobody can say whose it was, and so
    // one may be booked twice.
    expect((await countBooked()) - before).toBeGreaterThanOrEqual(sentEvents)
  })
})

describe('while the dead letters are away', () => {
  it('opens no connection where nothing is asked', async () => {
    let opened = 0
    const reconciler = createRecallAway(() => opened++)
    reconciler.noteStored([])
    await reconciler.check([])
    await reconciler.close()
    expect(opened).toBe(0)
  })

  it('a walk that failed waits for its turn before it begins again', async () => {
    let opened = 0
    const reconciler = createRecallAway(() => opened++)
    reconciler.walkIfDue()
    await waitFor('the first walk', () => opened === 1)
    await nextTurn()
    reconciler.walkIfDue()
    await reconciler.close()
    expect(opened).toBe(1)
  })

  function createRecallAway(onOpen: () => void): Reconciler {
    return createReconciler({
      openStore() {
        onOpen()
        return Promise.reject(new Error('away'))
      },
      findStored: () => Promise.reject(new Error('asked')),
      countStoredByApis: async () => 0,
      log,
    })
  }
})
