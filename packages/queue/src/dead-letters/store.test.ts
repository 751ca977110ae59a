import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import {
  createTestBackend,
  describeBackends,
  describeRedis,
  startTestRedis,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type JobQueue, openQueue, type QueueBackend } from '../backend.ts'
import { openRedis } from '../open-redis.ts'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '../policy.ts'
import { bury, makeFailedEvent, readPage } from '../testing/dead-letter-fixtures.ts'
import type { DeadLetterQueue } from './bury.ts'
import type { DeadLetterEntry } from './entry.ts'
import { deadLetterId } from './entry-id.ts'
import { importDeadLetters, toLine } from './import.ts'
import { openDeadLetters } from './open.ts'
import { redriveDeadLetters } from './redrive.ts'
import { resolveEntryIds } from './resolve-ids.ts'
import { scanDeadLetters } from './scan.ts'
import type { DeadLetterStore } from './store.ts'

const onError = (error: Error) => {
  throw error
}

interface Envelope {
  v: number
  events: { id: string; redrives?: number }[]
}

describeBackends('the dead-letter store', (kind) => {
  const releaser = useReleaser()
  let backend: QueueBackend
  let store: DeadLetterStore
  let other: DeadLetterStore
  let dead: DeadLetterQueue
  let main: JobQueue<Envelope>

  beforeAll(async () => {
    backend = await createTestBackend(kind, releaser)
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    dead = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    main = openQueue<Envelope>(STATUS_QUEUE, backend, redis, { onError })
    store = await openDeadLetters({ backend, shards: 1, onError })
    other = await openDeadLetters({ backend, shards: 1, onError })
    for (const part of [dead, main, store, other]) releaser.onRelease(() => part.close())
  })
  beforeEach(async () => {
    await dead.obliterate({ force: true })
    await main.obliterate({ force: true })
  })

  const buryMany = async (count: number) => {
    const failedEvents = Array.from({ length: count }, () => makeFailedEvent())
    await bury(dead, failedEvents)
    return failedEvents.map(deadLetterId)
  }
  const queuedIds = async () => {
    const jobs = await main.getJobs(['waiting'], 0, -1, true)
    return jobs.flatMap((job) => job.data.events.map((event) => deadLetterId({ eventId: event.id, event })))
  }
  const deadIds = async () => {
    const ids: string[] = []
    for await (const page of scanDeadLetters(store, { pageSize: 7 }))
      ids.push(...page.map(({ entry }) => entry.id))
    return ids
  }
  const asIs = (entry: { event: unknown }) => entry.event

  test('reads entries in the order of burial, in both directions, page by page', async () => {
    const ids = await buryMany(20)
    expect(await deadIds()).toEqual(ids)
    expect(await store.count()).toBe(20)
    const newest = await readPage(store, { limit: 3, newestFirst: true })
    expect(newest.map(({ entry }) => entry.id)).toEqual(ids.slice(-3).reverse())
    const next = await readPage(store, { limit: 2, newestFirst: true, after: newest.at(-1)?.position })
    expect(next.map(({ entry }) => entry.id)).toEqual(ids.slice(-5, -3).reverse())
  })

  test('walks without skipping or repeating entries while others remove entries', async () => {
    const ids = await buryMany(30)
    const seen: string[] = []
    for await (const page of scanDeadLetters(store, { pageSize: 10 })) {
      seen.push(...page.map(({ entry }) => entry.id))
      await other.discard(page.map(({ entry }) => entry))
    }
    expect(seen).toEqual(ids)
  })

  test('moves a requeued entry to the main queue, whole and with fresh attempts', async () => {
    const ids = await buryMany(5)
    const [first, ...rest] = ids
    const moved = await store.requeue([first ?? '', 'dead-absent'], (entry) => ({
      ...(entry.event as object),
      redrives: 1,
    }))
    expect(moved.map((entry) => entry.id)).toEqual([first])
    expect(await deadIds()).toEqual(rest)
    const [job] = await main.getJobs(['waiting'])
    expect(job?.data.events).toEqual([{ ...(moved[0]?.event as object), redrives: 1 }])
    expect(job?.opts).toMatchObject({ attempts: 4, removeOnComplete: true, removeOnFail: false })
    expect(job?.attemptsMade).toBe(0)
  })

  test('redrives what a newer version wrote as it was, in a job of its own', async () => {
    const data = { v: 2, items: [{ a: 1 }] }
    const newer = makeFailedEvent({
      event: data,
      reason: 'newer_version',
      error: { code: 'newer_version', message: '' },
    })
    const plain = makeFailedEvent()
    await bury(dead, [newer, plain])
    const { redriven } = await redriveDeadLetters(store, {
      selection: { kind: 'ids', ids: [newer, plain].map(deadLetterId) },
      force: false,
    })
    expect(redriven).toBe(2)
    expect(await deadIds()).toEqual([])
    const queued = (await main.getJobs(['waiting'])).map((job) => job.data)
    expect(queued).toHaveLength(2)
    expect(queued).toContainEqual(data)
    expect(queued).toContainEqual({ v: 1, events: [{ ...(plain.event as object), redrives: 1 }] })
  })

  test('leaves an entry for which prepare returns undefined', async () => {
    const ids = await buryMany(4)
    const moved = await store.requeue(ids, (entry) => (entry.id === ids[1] ? undefined : entry.event))
    expect(moved.map((entry) => entry.id).sort()).toEqual([ids[0], ids[2], ids[3]].sort())
    expect(await deadIds()).toEqual([ids[1]])
  })

  test('requeues an event whose worker dead-letters it again at once', async () => {
    const failedEvent = makeFailedEvent()
    const id = deadLetterId(failedEvent)
    await bury(dead, [failedEvent])
    // The fastest possible worker: it buries the event as soon as it can see the envelope.
    let stop = false
    const worker = (async () => {
      while (!stop) {
        for (const job of await main.getJobs(['waiting'])) {
          await bury(dead, [{ ...failedEvent, redrives: job.data.events[0]?.redrives ?? 0 }])
          await job.remove()
        }
      }
    })()
    for (let round = 1; round <= 20; round++) {
      await store.requeue([id], (entry) => ({ ...(entry.event as object), redrives: round }))
      await expect
        .poll(async () => (await store.get([id]))[0]?.redrives, { interval: 5, timeout: 30_000 })
        .toBe(round)
    }
    stop = true
    await worker
    expect(await deadIds()).toEqual([id])
    expect(await queuedIds()).toEqual([])
  })

  test('moves each entry once when two operators requeue the same entries at once', async () => {
    const ids = await buryMany(200)
    const halves = [ids.slice(0, 100), ids.slice(100)]
    const runs = [store, other].flatMap((who) => halves.map((half) => who.requeue(half, asIs)))
    const moved = (await Promise.all(runs)).flat()
    expect(moved).toHaveLength(200)
    expect((await queuedIds()).sort()).toEqual([...ids].sort())
    expect(await store.count()).toBe(0)
  })

  test('gives each entry to one of two operators when one requeues and one deletes', async () => {
    const ids = await buryMany(60)
    const entries = await store.get(ids)
    const [moved, deleted] = await Promise.all([store.requeue(ids, asIs), other.discard(entries)])
    expect(moved.length + deleted.length).toBe(60)
    expect((await queuedIds()).sort()).toEqual(moved.map((entry) => entry.id).sort())
    expect(await store.count()).toBe(0)
  })

  test('does not delete an entry that was dead-lettered again since it was read', async () => {
    const [id = ''] = await buryMany(1)
    const [read] = await store.get([id])
    await store.rewrite([id], (entry) => ({ ...entry, dead_at: '2030-01-01T00:00:00.000Z' }))
    expect(read && (await store.discard([read]))).toEqual([])
    expect(await deadIds()).toEqual([id])
  })

  test('finds all entries of an event by its id', async () => {
    const failed = makeFailedEvent()
    const conflict = { ...failed, contentHash: 'f'.repeat(32) }
    await bury(dead, [failed, makeFailedEvent(), conflict])
    const both = [deadLetterId(failed), deadLetterId(conflict)]
    expect((await store.findByEvent(new Set([failed.eventId]))).sort()).toEqual(both.toSorted())
    const given = [failed.eventId, both[0] ?? '', `dead-${failed.eventId}`, 'absent']
    expect((await resolveEntryIds(store, given)).sort()).toEqual(['absent', ...both].toSorted())
    const gone = `dead-${failed.eventId}-00000000`
    expect(await resolveEntryIds(store, [gone])).toEqual([gone])
  })

  test('restores exported entries unchanged, and only those that do not exist', async () => {
    const ids = await buryMany(10)
    const entries = await store.get(ids)
    await store.discard(entries.slice(0, 4))
    expect((await store.restore(entries)).sort()).toEqual(ids.slice(0, 4).sort())
    expect(await store.get(ids)).toEqual(entries)
  })

  test('counts the jobs and events of the main queue', async () => {
    const ids = await buryMany(7)
    await store.requeue(ids, asIs)
    expect(await store.depth()).toMatchObject({ waiting: 1, active: 0, delayed: 0, failed: 0 })
    expect(await store.countQueuedEvents()).toBe(7)
  })

  test('refuses a batch above MAX_BATCH', async () => {
    const ids = Array.from({ length: 101 }, (_, n) => `dead-${n}`)
    await expect(store.requeue(ids, asIs)).rejects.toThrow(RangeError)
  })
})

describeRedis('a dead letter nested thousands of levels deep', () => {
  const releaser = useReleaser()
  const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`
  let dead: DeadLetterQueue
  let store: DeadLetterStore

  beforeAll(async () => {
    const backend = await createTestBackend('redis', releaser)
    const redis = releaser.add(openRedis({ url: testRedisUrl() }, 'patient', onError), (it) =>
      it.disconnect(),
    )
    dead = releaser.add(openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError }), (it) =>
      it.close(),
    )
    store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
  })

  /** A line of an export with a deeply nested event. */
  const deepLine = (entry: DeadLetterEntry) => {
    const line = toLine({ ...entry, event: { ...(entry.event as object), metadata: 'HERE' } })
    return line.replace('"HERE"', deep)
  }

  test.each(['in an entry', 'instead of an entry'])(
    'can be exported, redriven and buried again (%s)',
    async (make) => {
      const failedEvent = makeFailedEvent()
      await bury(dead, [failedEvent])
      const id = deadLetterId(failedEvent)
      const [entry] = await store.get([id])
      if (!entry) throw new Error('There is an entry')
      // Only a program that writes to Redis by hand can make such an entry.
      const redis = releaser.add(new Redis(testRedisUrl()), (it) => it.disconnect())
      await redis.hset(dead.toKey(id), 'data', make === 'in an entry' ? deepLine(entry) : deep)

      const [found] = await store.get([id])
      expect(found && toLine(found).length).toBeLessThan(10_000)
      const selection = { kind: 'ids', ids: [id] } as const
      const { redriven } = await redriveDeadLetters(store, { selection, force: true })
      expect(redriven).toBe(1)
    },
  )

  test('is not imported', async () => {
    const failedEvent = makeFailedEvent()
    await bury(dead, [failedEvent])
    const entries = await store.get([deadLetterId(failedEvent)])
    await store.discard(entries)
    async function* lines() {
      for (const entry of entries) yield deepLine(entry)
    }
    const result = await importDeadLetters(store, {
      lines: lines(),
      findStored: async () => new Map(),
      findErased: async () => new Set(),
      dryRun: false,
    })
    expect(result).toMatchObject({ imported: 0, badCount: 1, bad: [{ line: 1 }] })
    expect(result.bad[0]?.message).toMatch(/nested deeper than 1000 levels/)
  })
})

describeRedis('a dead letter that is not JSON', () => {
  const releaser = useReleaser()

  test('is shown as text, and does not hide others', async () => {
    const backend = await createTestBackend('redis', releaser)
    const redis = releaser.add(openRedis({ url: testRedisUrl() }, 'patient', onError), (it) =>
      it.disconnect(),
    )
    const dead: DeadLetterQueue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    releaser.onRelease(() => dead.close())
    const store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
    const [first, second] = [makeFailedEvent(), makeFailedEvent()]
    await bury(dead, [first, second])
    await redis.hset(dead.toKey(deadLetterId(first)), 'data', '{"score": NaN}')
    const entries = (await readPage(store, { limit: 10 })).map(({ entry }) => entry)
    expect(entries).toMatchObject([
      { event: '{"score": NaN}', reason: 'invalid_event' },
      { event: second.event, reason: 'unknown_user' },
    ])
  })
})

describeRedis('a full Redis', () => {
  const releaser = useReleaser()

  test('moves no entry rather than half of them', async () => {
    // Its own server: other tests must not find the memory full.
    const server = await startTestRedis(releaser)
    const backend = { kind: 'redis', url: server.url, prefix: 'full' } as const
    const redis = new Redis(backend.url)
    releaser.onRelease(() => redis.disconnect())
    const dead: DeadLetterQueue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    const store = await openDeadLetters({ backend, shards: 1, onError })
    releaser.onRelease(() => dead.close())
    releaser.onRelease(() => store.close())
    const failedEvents = Array.from({ length: 20 }, () => makeFailedEvent())
    await bury(dead, failedEvents)
    const ids = failedEvents.map(deadLetterId)

    await redis.config('SET', 'maxmemory', '1mb')
    try {
      await expect(store.requeue(ids, (entry) => entry.event)).rejects.toThrow(/OOM|EXECABORT/)
    } finally {
      await redis.config('SET', 'maxmemory', '0')
    }
    expect((await store.get(ids)).map((entry) => entry.id)).toEqual(ids)
    expect(await store.depth()).toMatchObject({ waiting: 0 })
    expect(await store.requeue(ids, (entry) => entry.event)).toHaveLength(20)
  })
})

describe('an unreachable store', () => {
  test.each<[QueueBackend, string]>([
    [{ kind: 'redis', url: 'redis://127.0.0.1:1', prefix: 'x' }, 'Redis does not answer'],
    [{ kind: 'postgres', url: 'postgres://nobody@127.0.0.1:1/nothing', schema: 'x' }, 'ECONNREFUSED'],
  ])('is reported and leaves nothing open that keeps the process running (%o)', async (backend, message) => {
    const program = `
      import { openDeadLetters } from ${JSON.stringify(new URL('./open.ts', import.meta.url))}
      const options = { backend: ${JSON.stringify(backend)}, shards: 1, onError() {} }
      await openDeadLetters(options).catch((error) => console.log(String(error)))`
    const args = ['--input-type=module', '-e', program]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 45_000 })
    expect(stdout).toContain(message)
  })
})
