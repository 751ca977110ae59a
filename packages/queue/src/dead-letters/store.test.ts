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
import { type JobQueue, openQueue, openRedis, type QueueBackend } from '../backend.ts'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '../policy.ts'
import { bury, makeFailedEvent } from '../testing/dead-letter-fixtures.ts'
import type { DeadLetterQueue } from './bury.ts'
import type { DeadLetterEntry } from './entry.ts'
import { importDeadLetters, toLine } from './import.ts'
import { openDeadLetters } from './open.ts'
import { redriveDeadLetters } from './redrive.ts'
import { type DeadLetterStore, scanDeadLetters } from './store.ts'

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
    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
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

  const bury = async (count: number) => {
    const failedEvents = Array.from({ length: count }, () => makeFailedEvent())
    await bury(dead, failedEvents)
    return failedEvents.map((failedEvent) => `dead-${failedEvent.eventId}`)
  }
  const queuedIds = async () => {
    const jobs = await main.getJobs(['waiting'], 0, -1, true)
    return jobs.flatMap((job) => job.data.events.map((event) => `dead-${event.id}`))
  }
  const deadIds = async () => {
    const ids: string[] = []
    for await (const page of scanDeadLetters(store, { pageSize: 7 }))
      ids.push(...page.map(({ entry }) => entry.id))
    return ids
  }
  const asIs = (entry: { event: unknown }) => entry.event

  test('reads in the order of burial, both ways, page by page', async () => {
    const ids = await bury(20)
    expect(await deadIds()).toEqual(ids)
    expect([await store.count(), await store.isEmpty()]).toEqual([20, false])
    const newest = await store.page({ limit: 3, newestFirst: true })
    expect(newest.map(({ entry }) => entry.id)).toEqual(ids.slice(-3).reverse())
    const next = await store.page({ limit: 2, newestFirst: true, after: newest.at(-1)?.position })
    expect(next.map(({ entry }) => entry.id)).toEqual(ids.slice(-5, -3).reverse())
  })

  test('a walk skips and repeats nothing while others remove entries it has passed', async () => {
    const ids = await bury(30)
    const seen: string[] = []
    for await (const page of scanDeadLetters(store, { pageSize: 10 })) {
      seen.push(...page.map(({ entry }) => entry.id))
      await other.discard(page.map(({ entry }) => entry))
    }
    expect(seen).toEqual(ids)
  })

  test('a requeued entry is in the main queue and nowhere else, whole and with fresh attempts', async () => {
    const ids = await bury(5)
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

  test('an entry that prepare refuses stays where it is', async () => {
    const ids = await bury(4)
    const moved = await store.requeue(ids, (entry) => (entry.id === ids[1] ? undefined : entry.event))
    expect(moved.map((entry) => entry.id).sort()).toEqual([ids[0], ids[2], ids[3]].sort())
    expect(await deadIds()).toEqual([ids[1]])
  })

  test('an event that dies again at once is a dead letter again: its old entry is gone by then', async () => {
    const failedEvent = makeFailedEvent()
    const id = `dead-${failedEvent.eventId}`
    await bury(dead, [failedEvent])
    // A worker as fast as can be: the moment the envelope can be seen, its event is buried.
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
        .poll(async () => (await store.get([id]))[0]?.redrives, { interval: 5, timeout: 5_000 })
        .toBe(round)
    }
    stop = true
    await worker
    expect(await deadIds()).toEqual([id])
    expect(await queuedIds()).toEqual([])
  })

  test('two who requeue the same entries at once move each of them once, and their counts add up', async () => {
    const ids = await bury(200)
    const halves = [ids.slice(0, 100), ids.slice(100)]
    const runs = [store, other].flatMap((who) => halves.map((half) => who.requeue(half, asIs)))
    const moved = (await Promise.all(runs)).flat()
    expect(moved).toHaveLength(200)
    expect((await queuedIds()).sort()).toEqual([...ids].sort())
    expect([await store.count(), await store.isEmpty()]).toEqual([0, true])
  })

  test('of those who requeue and those who delete at once, one gets each entry', async () => {
    const ids = await bury(60)
    const entries = await store.get(ids)
    const [moved, deleted] = await Promise.all([store.requeue(ids, asIs), other.discard(entries)])
    expect(moved.length + deleted.length).toBe(60)
    expect((await queuedIds()).sort()).toEqual(moved.map((entry) => entry.id).sort())
    expect(await store.count()).toBe(0)
  })

  test('deletes an entry only as it was read: a later death of the same event stays', async () => {
    const [id = ''] = await bury(1)
    const [read] = await store.get([id])
    await store.rewrite([id], (entry) => ({ ...entry, dead_at: '2030-01-01T00:00:00.000Z' }))
    expect(read && (await store.discard([read]))).toEqual([])
    expect(await deadIds()).toEqual([id])
  })

  test('restores what was exported, byte for byte, and only what is not there', async () => {
    const ids = await bury(10)
    const entries = await store.get(ids)
    await store.discard(entries.slice(0, 4))
    expect((await store.restore(entries)).sort()).toEqual(ids.slice(0, 4).sort())
    expect(await store.get(ids)).toEqual(entries)
  })

  test('counts jobs and events of the main queue', async () => {
    const ids = await bury(7)
    await store.requeue(ids, asIs)
    expect(await store.depth()).toMatchObject({ waiting: 1, active: 0, delayed: 0, failed: 0 })
    expect(await store.countQueuedEvents()).toBe(7)
  })

  test('refuses batches that would keep the store busy for long', async () => {
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
    const redis = releaser.add(openRedis(testRedisUrl(), 'patient', onError), (it) => it.disconnect())
    dead = releaser.add(openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError }), (it) =>
      it.close(),
    )
    store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
  })

  /** A line of an export, with such an event. */
  const deepLine = (entry: DeadLetterEntry) => {
    const line = toLine({ ...entry, event: { ...(entry.event as object), metadata: 'HERE' } })
    return line.replace('"HERE"', deep)
  }

  test.each(['of our making', 'of nobody knows whose'])(
    'can be exported, redriven and die again (%s)',
    async (make) => {
      const failedEvent = makeFailedEvent()
      await bury(dead, [failedEvent])
      const id = `dead-${failedEvent.eventId}`
      const [entry] = await store.get([id])
      if (!entry) throw new Error('There is an entry')
      // As only somebody can who writes to Redis by hand.
      const redis = releaser.add(new Redis(testRedisUrl()), (it) => it.disconnect())
      await redis.hset(dead.toKey(id), 'data', make === 'of our making' ? deepLine(entry) : deep)

      const [found] = await store.get([id])
      expect(found && toLine(found).length).toBeLessThan(10_000)
      expect(await bury(dead, [failedEvent])).toBe(0)
      const selection = { kind: 'ids', ids: [id] } as const
      const { redriven } = await redriveDeadLetters(store, { selection, force: true })
      expect(redriven).toBe(1)
    },
  )

  test('is not imported', async () => {
    const failedEvent = makeFailedEvent()
    await bury(dead, [failedEvent])
    const entries = await store.get([`dead-${failedEvent.eventId}`])
    await store.discard(entries)
    async function* lines() {
      for (const entry of entries) yield deepLine(entry)
    }
    const result = await importDeadLetters(store, {
      lines: lines(),
      findStored: async () => new Map(),
      findErased: async () => new Set(),
      dryRun: false,
      onIntent: async () => {},
    })
    expect(result).toMatchObject({ imported: 0, badCount: 1, bad: [{ line: 1 }] })
    expect(result.bad[0]?.message).toMatch(/nested deeper than 1000 levels/)
  })
})

describeRedis('a dead letter that is no JSON', () => {
  const releaser = useReleaser()

  test('hides no other, and is shown as it is', async () => {
    const backend = await createTestBackend('redis', releaser)
    const redis = releaser.add(openRedis(testRedisUrl(), 'patient', onError), (it) => it.disconnect())
    const dead: DeadLetterQueue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    releaser.onRelease(() => dead.close())
    const store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
    const [first, second] = [makeFailedEvent(), makeFailedEvent()]
    await bury(dead, [first, second])
    await redis.hset(dead.toKey(`dead-${first.eventId}`), 'data', '{"score": NaN}')
    const entries = (await store.page({ limit: 10 })).map(({ entry }) => entry)
    expect(entries).toMatchObject([
      { event: '{"score": NaN}', reason: 'invalid_event' },
      { event: second.event, reason: 'unknown_user' },
    ])
  })
})

describeRedis('a full Redis', () => {
  const releaser = useReleaser()

  test('moves nothing at all rather than half', async () => {
    // A server of its own: the others of this run must not find memory full.
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
    const ids = failedEvents.map((failedEvent) => `dead-${failedEvent.eventId}`)

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

describe('a store that is away', () => {
  test('is said within seconds', async () => {
    const backend = { kind: 'redis', url: 'redis://127.0.0.1:1', prefix: 'x' } as const
    await expect(openDeadLetters({ backend, shards: 1, onError: () => undefined })).rejects.toThrow(
      'Redis does not answer',
    )
  })

  test.each([
    { kind: 'redis', url: 'redis://127.0.0.1:1', prefix: 'x' },
    { kind: 'postgres', url: 'postgres://nobody@127.0.0.1:1/nothing', schema: 'x' },
  ] satisfies QueueBackend[])('leaves nothing behind that keeps a process up ($kind)', async (backend) => {
    const program = `
      import { openDeadLetters } from ${JSON.stringify(new URL('./open.ts', import.meta.url))}
      const options = { backend: ${JSON.stringify(backend)}, shards: 1, onError() {} }
      await openDeadLetters(options).catch(() => console.log('refused'))`
    const args = ['--input-type=module', '-e', program]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 45_000 })
    expect(stdout).toBe('refused\n')
  })
})
