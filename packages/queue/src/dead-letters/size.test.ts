import type { DeadLetter } from '@tidings/shared/dead-letter'
import {
  createTestBackend,
  describeBackends,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type JobQueue, openQueue, type QueueBackend } from '../backend.ts'
import { openRedis } from '../open-redis.ts'
import { DEAD_LETTER_QUEUE, MAX_JOB_LENGTH, STATUS_QUEUE } from '../policy.ts'
import { bury, makeFailedEvent } from '../testing/dead-letter-fixtures.ts'
import type { DeadLetterQueue } from './bury.ts'
import { deleteDeadLetters } from './delete.ts'
import { type DeadLetterEntry, MAX_BATCH_BYTES } from './entry.ts'
import { deadLetterId } from './entry-id.ts'
import { importDeadLetters, toLine } from './import.ts'
import { listDeadLetters } from './list.ts'
import { openDeadLetters } from './open.ts'
import { redriveDeadLetters } from './redrive.ts'
import { scanDeadLetters } from './scan.ts'
import { readSelection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

const onError = (error: Error) => {
  throw error
}
/** The size of an event with a page of HTML in it. Seven of them fit into a batch. */
const LARGE = 280_000
const HUGE = MAX_BATCH_BYTES + 1_000_000
const ALL = { kind: 'filter', filter: {} } as const

describeBackends('large dead letters', (kind) => {
  const releaser = useReleaser()
  let backend: QueueBackend
  let store: DeadLetterStore
  let dead: DeadLetterQueue
  let main: JobQueue<{ events: { id: string }[] }>

  beforeAll(async () => {
    backend = await createTestBackend(kind, releaser)
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    dead = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    main = openQueue<{ events: { id: string }[] }>(STATUS_QUEUE, backend, redis, { onError })
    store = await openDeadLetters({ backend, shards: 1, onError })
    for (const part of [dead, main, store]) releaser.onRelease(() => part.close())
  })
  beforeEach(async () => {
    await dead.obliterate({ force: true })
    await main.obliterate({ force: true })
  })

  /** Buries entries of these sizes, in this order. @returns their ids. */
  async function burySizes(...sizes: number[]): Promise<string[]> {
    const failedEvents = sizes.map((size) =>
      makeFailedEvent({ fields: { metadata: { page: 'x'.repeat(size) } } }),
    )
    for (const failedEvent of failedEvents) await bury(dead, [failedEvent])
    return failedEvents.map(deadLetterId)
  }
  const many = (count: number, size = LARGE) => Array.from({ length: count }, () => size)
  const sizeOf = (entries: readonly DeadLetterEntry[]) => JSON.stringify(entries).length
  /** Expects that each part is one entry, or fits into MAX_BATCH_BYTES. */
  function expectSmall(parts: readonly (readonly DeadLetterEntry[])[]) {
    for (const part of parts) if (part.length > 1) expect(sizeOf(part)).toBeLessThan(MAX_BATCH_BYTES * 1.01)
    expect(parts.length).toBeLessThan(parts.flat().length)
  }
  const idsOf = (parts: readonly (readonly DeadLetterEntry[])[]) => parts.flat().map((entry) => entry.id)

  test.each([[false], [true]])(
    'are read in small pages, once and in order (newest first: %s)',
    async (newestFirst) => {
      const ids = await burySizes(...many(9), 10, HUGE, 10, HUGE, HUGE, ...many(9, 10))
      const pages: DeadLetterEntry[][] = []
      for await (const page of scanDeadLetters(store, { pageSize: 500, newestFirst }))
        pages.push(page.map(({ entry }) => entry))
      expectSmall(pages)
      expect(idsOf(pages)).toEqual(newestFirst ? ids.toReversed() : ids)
    },
  )

  test('are redriven once, in envelopes that the worker can read', async () => {
    const ids = await burySizes(...many(10), HUGE, 10, ...many(10))
    const result = await redriveDeadLetters(store, { selection: ALL, force: false })
    expect(result).toMatchObject({ matched: 22, redriven: 22, gone: 0, oversized: 0, end: 'done' })
    expect(await store.count()).toBe(0)
    const jobs = await main.getJobs(['waiting'], 0, -1, true)
    for (const { data } of jobs)
      if (data.events.length > 1) expect(JSON.stringify(data).length).toBeLessThan(MAX_BATCH_BYTES)
    expect(
      jobs
        .flatMap(({ data }) => data.events.map((event) => deadLetterId({ eventId: event.id, event })))
        .toSorted(),
    ).toEqual(ids.toSorted())
  })

  test('stay when the worker could not read them whole, and do not keep others back', async () => {
    const [first, longest, last] = await burySizes(10, MAX_JOB_LENGTH - 100, 10)
    const result = await redriveDeadLetters(store, { selection: ALL, force: true })
    expect(result).toMatchObject({ matched: 3, redriven: 2, oversized: 1, gone: 0 })
    const [left] = await store.get([first ?? '', longest ?? '', last ?? ''])
    expect(left?.id).toBe(longest)
    expect(left?.event).toMatchObject({ metadata: { page: 'x'.repeat(MAX_JOB_LENGTH - 100) } })
    // The store itself refuses it too.
    await expect(store.requeue([longest ?? ''], (entry) => entry.event)).rejects.toThrow(RangeError)
    expect(await store.count()).toBe(1)
    expect(await store.countQueuedEvents()).toBe(2)
  })

  test('are read by id in small batches, with the ids that do not exist', async () => {
    const ids = await burySizes(...many(10), HUGE)
    const batches: DeadLetterEntry[][] = []
    const missing: string[] = []
    const selection = { kind: 'ids', ids: ['dead-no', ...ids, 'dead-neither'] } as const
    for await (const batch of readSelection(store, selection)) {
      batches.push(batch.entries)
      missing.push(...batch.missing)
    }
    expectSmall(batches)
    expect(idsOf(batches)).toEqual(ids)
    expect(missing).toEqual(['dead-no', 'dead-neither'])
    const sizes = await store.sizes(['dead-no', ...ids])
    expect([...sizes.keys()].toSorted()).toEqual(ids.toSorted())
    expect(sizes.get(ids[0] ?? '')).toBeGreaterThan(LARGE)
    expect(sizes.get(ids[0] ?? '')).toBeLessThan(LARGE + 1_000)
  })

  test.each(['dead_at', 'redrives'] as const)('are listed in small parts, sorted by %s', async (sort) => {
    const ids = await burySizes(...many(14))
    const parts: DeadLetterEntry[][] = []
    const list = (cursor?: string) =>
      listDeadLetters(store, {
        filter: {},
        limit: 9,
        cursor,
        sort,
        ascending: true,
        onEntries: async (entries) => void parts.push([...entries]),
      })
    const cursor = await list()
    expect(parts.flat()).toHaveLength(9)
    expect(await list(cursor)).toBeUndefined()
    expectSmall(parts)
    expect(idsOf(parts)).toEqual(sort === 'dead_at' ? ids : ids.toSorted())
  })

  test('are deleted and imported in small parts', async () => {
    const ids = await burySizes(...many(10), HUGE, 10)
    const batches: DeadLetterEntry[][] = []
    const deleted = await deleteDeadLetters(store, {
      selection: ALL,
      beforeBatch: async (entries) => void batches.push([...entries]),
    })
    expect(deleted).toMatchObject({ matched: 12, deleted: 12, gone: 0, end: 'done' })
    expectSmall(batches)
    expect(idsOf(batches)).toEqual(ids)

    async function* lines() {
      for (const entry of batches.flat()) yield toLine(entry)
    }
    const imported = await importDeadLetters(store, {
      lines: lines(),
      findStored: async () => new Map(),
      findErased: async () => new Set(),
      dryRun: false,
    })
    expect(imported).toMatchObject({ lines: 12, imported: 12, present: 0 })
    expect(await store.get(ids)).toEqual(batches.flat())
  })

  test.runIf(kind === 'redis')('are found after entries that vanish during the read', async () => {
    const ids = await burySizes(10, 10, HUGE, 10)
    const redis = releaser.add(openRedis({ url: testRedisUrl() }, 'patient', onError), (it) =>
      it.disconnect(),
    )
    for (const id of ids.slice(0, 2)) await redis.del(dead.toKey(id))
    const read: string[] = []
    for await (const page of scanDeadLetters(store, { pageSize: 500 }))
      read.push(...page.map(({ entry }) => entry.id))
    expect(read).toEqual(ids.slice(2))
  })
})
