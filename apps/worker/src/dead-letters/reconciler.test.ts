import { type PlacedEntry, toEntry } from '@tidings/queue/dead-letters/entry'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Reconciler, type ReconcilerOptions } from './reconciler.ts'

const log = createLogger('test', 'silent')

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
          away: [],
          parts: [
            {
              async page() {
                await onPage()
                return pages[read++] ?? []
              },
            },
          ],
          discard: async (entries) => entries.map(({ id }) => id),
          close: async () => {},
        }
      },
      findStored: async (events) => new Map(events.map(({ id = '' }) => [id, undefined])),
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
