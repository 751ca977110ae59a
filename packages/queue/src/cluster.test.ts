import { createLogger } from '@tidings/runtime/log'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { makeEvent } from '@tidings/shared/testing/make-event'
import type { RedisCluster } from '@tidings/stack/servers/redis-cluster'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestCluster, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type JobQueue, openQueue, openWorker, type RedisBackend } from './backend.ts'
import { readBacklog } from './backlog.ts'
import { watchBackpressure } from './backpressure.ts'
import { countLostJobs, restoreLostJobs } from './bullmq/lost-jobs.ts'
import { buryEvents, type DeadLetterQueue } from './dead-letters/bury.ts'
import { deleteDeadLetters } from './dead-letters/delete.ts'
import type { DeadLetterEntry } from './dead-letters/entry.ts'
import { deadLetterId } from './dead-letters/entry-id.ts'
import { groupDeadLetters } from './dead-letters/groups.ts'
import { importDeadLetters, toLine } from './dead-letters/import.ts'
import { listDeadLetters } from './dead-letters/list.ts'
import { openDeadLetters } from './dead-letters/open.ts'
import { redactUsers } from './dead-letters/redact-users.ts'
import { redriveDeadLetters } from './dead-letters/redrive.ts'
import { readDeadLetterStats } from './dead-letters/stats.ts'
import type { DeadLetterStore } from './dead-letters/store.ts'
import { checkRedisDurability } from './durability.ts'
import { mastersOf, nodeOf, openRedis, type RedisConnection } from './open-redis.ts'
import { createPublisher } from './publisher.ts'
import { deadLetterNames, keyPrefixOf, shardNames } from './queue-names.ts'
import { findShards } from './shards.ts'
import { makeFailedEvent } from './testing/dead-letter-fixtures.ts'
import { tryWrites } from './try-write.ts'
import { waitUntilReady } from './wait-until-ready.ts'

const onError = () => {}
const SHARDS = 6

describeRedis('a Redis Cluster whose nodes announce addresses that cannot be reached', () => {
  const releaser = useReleaser()

  it('is refused with the address', async () => {
    const { url } = await startTestCluster(releaser, { settings: { 'cluster-announce-port': 1 } })
    const redis = releaser.add(openRedis({ url }, 'operator', onError), (opened) => opened.disconnect())
    await expect(waitUntilReady(redis)).rejects.toThrow(
      'Redis does not answer: connect ECONNREFUSED 127.0.0.1:1',
    )
  })
})

describeRedis('a Redis Cluster', () => {
  const releaser = useReleaser()
  let cluster: RedisCluster
  let backend: RedisBackend
  let redis: RedisConnection
  let queues: JobQueue<unknown>[]
  let dead: DeadLetterQueue[]

  beforeAll(async () => {
    cluster = await startTestCluster(releaser, {
      nodeTimeoutMs: 1_000,
      settings: { 'cluster-require-full-coverage': 'no' },
    })
    backend = { kind: 'redis', url: cluster.url, prefix: 'test' }
    redis = openRedis(backend, 'operator', onError)
    releaser.onRelease(() => redis.disconnect())
    await waitUntilReady(redis)
    const open = <Data>(name: string) =>
      releaser.add(openQueue<Data>(name, backend, redis, { onError }), (queue) => queue.close())
    queues = shardNames(SHARDS).map((name) => open<unknown>(name))
    dead = deadLetterNames(backend, SHARDS).map((name) => open<DeadLetter>(name))
  })
  beforeEach(async () => {
    for (const node of mastersOf(redis)) await node.flushall()
  })

  it('has the shards on all masters, and workers take their jobs', async () => {
    expect(mastersOf(redis)).toHaveLength(3)
    const done: unknown[] = []
    const workers = queues.map((queue) =>
      openWorker<unknown>(queue.name, backend, async (job) => void done.push(job.data), {}),
    )
    for (const worker of workers) worker.on('error', onError)
    for (const queue of queues) await queue.add('job', queue.name)
    await waitFor('the jobs', () => done.length === SHARDS)
    await Promise.all(workers.map((worker) => worker.close()))
    const owners = Map.groupBy(queues, (queue) => nodeOf(redis, queue.toKey('wait')).options.port)
    expect([...owners.values()].map((own) => own.length)).toEqual([2, 2, 2])
  })

  it('is checked as a whole: writes, durability, shards, lost jobs, backlog, pressure', async () => {
    expect(await tryWrites(redis, backend, SHARDS)).toEqual(Array.from({ length: SHARDS }))
    expect(await checkRedisDurability(redis)).toEqual({ problems: [], unknown: [] })
    expect(await findShards(backend, redis, 1)).toBe(1)
    const [, second] = queues
    await second?.add('job', {}, { jobId: 'lost' })
    expect(await findShards(backend, redis, 1)).toBe(2)
    const prefix = `${keyPrefixOf(backend, 'status-events-1')}:status-events-1:`
    await redis.del(`${prefix}wait`)
    expect(await countLostJobs(redis, prefix)).toBe(1)
    expect(await restoreLostJobs(redis, prefix)).toBe(1)
    const backlog = await readBacklog(queues as JobQueue<object>[], dead, 'redis', Date.now() + 60_000)
    expect(backlog.events.size).toBe(SHARDS)
    expect(backlog.events.get('status-events-1')).toBeGreaterThan(50_000)
    const publisher = { queues: queues as JobQueue<never>[], redis, isConnected: true }
    const backpressure = watchBackpressure({ publisher, maxDepth: 1 })
    await backpressure.poll()
    backpressure.close()
    expect([backpressure.depth, backpressure.pressure]).toEqual([1, { shed: true, why: 'depth' }])
  })

  describe('its dead letters', () => {
    let store: DeadLetterStore
    let ids: string[]

    beforeEach(async () => {
      store = await openDeadLetters({ backend, shards: SHARDS, onError })
      ids = []
      for (let index = 0; index < 30; index++) {
        const failed = makeFailedEvent({ fields: { user_id: 'b1c1d1e1-0000-4000-8000-000000000001' } })
        await buryEvents(dead, [failed], async () => new Set())
        ids.push(deadLetterId(failed))
        // The order of burial is that of the time, which has milliseconds.
        const buriedAt = Date.now()
        await waitFor('the next millisecond', () => Date.now() > buriedAt, { intervalMs: 1 })
      }
      return () => store.close()
    })

    const list = async (limit: number, cursor?: string, ascending = true) => {
      const found: DeadLetterEntry[] = []
      const next = await listDeadLetters(store, {
        filter: {},
        limit,
        cursor,
        sort: 'dead_at',
        ascending,
        onEntries: async (entries) => void found.push(...entries),
      })
      return { ids: found.map(({ id }) => id), found, next }
    }

    it('are in the queues of all shards, and are listed in the order of burial, page by page', async () => {
      const counts = await Promise.all(dead.map((queue) => queue.getPrioritizedCount()))
      expect(counts.every((count) => count > 0)).toBe(true)
      expect(await store.count()).toBe(30)
      const first = await list(12)
      const second = await list(12, first.next)
      const third = await list(12, second.next)
      expect([...first.ids, ...second.ids, ...third.ids]).toEqual(ids)
      expect(third.next).toBeUndefined()
      expect((await list(5, undefined, false)).ids).toEqual(ids.slice(-5).reverse())
      await expect(list(5, '12')).rejects.toThrow('This cursor does not belong to this listing')
    })

    it('of one millisecond are listed in one order, forwards and backwards', async () => {
      const together = Array.from({ length: 30 }, () => makeFailedEvent())
      await buryEvents(dead, together, async () => new Set())
      const forwards = (await list(60)).ids
      const pageOf = async (cursor?: string): Promise<string[]> => {
        const page = await list(7, cursor, false)
        return page.next === undefined ? page.ids : [...page.ids, ...(await pageOf(page.next))]
      }
      expect(await pageOf()).toEqual(forwards.toReversed())
    })

    it('are counted and grouped together', async () => {
      expect(await groupDeadLetters(store, {})).toMatchObject([{ count: 30 }])
      expect(await readDeadLetterStats(store)).toMatchObject({ depth: 30, by_reason: { unknown_user: 30 } })
    })

    it('are buried once, whichever job holds the event', async () => {
      const failed = makeFailedEvent()
      for (const sourceJobId of ['1', 'status-events-3/1'])
        await buryEvents(dead, [{ ...failed, sourceJobId }], async () => new Set())
      expect(await store.count()).toBe(31)
    })

    it('are redriven each in one transaction, into the shard beside them', async () => {
      const before = await Promise.all(dead.map((queue) => queue.getPrioritizedCount()))
      const result = await redriveDeadLetters(store, {
        selection: { kind: 'filter', filter: {} },
        force: false,
      })
      expect(result).toMatchObject({ redriven: 30, gone: 0, end: 'done' })
      expect(await store.count()).toBe(0)
      expect(await store.countQueuedEvents()).toBe(30)
      const events = queues.map(async (queue) => {
        const jobs = (await queue.getWaiting()) as { data: { events: unknown[] } }[]
        return jobs.reduce((sum, { data }) => sum + data.events.length, 0)
      })
      expect(await Promise.all(events)).toEqual(before)
    })

    it('are exported, deleted, imported and redacted', async () => {
      const { found } = await list(30)
      const selection = { kind: 'ids', ids } as const
      expect(await deleteDeadLetters(store, { selection })).toMatchObject({ deleted: 30, gone: 0 })
      const lines = async function* () {
        yield* found.map(toLine)
      }
      const request = {
        findStored: async () => new Map(),
        findErased: async () => new Set<string>(),
        dryRun: false,
      }
      expect(await importDeadLetters(store, { ...request, lines: lines() })).toMatchObject({ imported: 30 })
      expect(await importDeadLetters(store, { ...request, lines: lines() })).toMatchObject({ present: 30 })
      await redactUsers(store, [{ id: 'b1c1d1e1-0000-4000-8000-000000000001', email: 'a@example.com' }])
      const redacted = await store.get(ids)
      expect(redacted.map(({ id }) => id)).toEqual(ids)
      for (const { event } of redacted) expect(event).not.toHaveProperty('user_id')
    })

    it('are found after QUEUE_SHARDS was changed', async () => {
      const smaller = await openDeadLetters({ backend, shards: 2, onError })
      try {
        expect(await smaller.count()).toBe(30)
        expect((await smaller.sizes(ids)).size).toBe(30)
      } finally {
        await smaller.close()
      }
    })

    it('are mended', async () => {
      const [id = ''] = ids
      const queue = dead.find(async (each) => await each.getJob(id))
      for (const each of dead) await redis.zrem(each.toKey('prioritized'), id)
      expect(queue).toBeDefined()
      expect(await store.findDamage()).toEqual([{ id, damage: 'no_place' }])
      await store.mendDamage([{ id, damage: 'no_place' }])
      expect(await store.findDamage()).toEqual([])
    })
  })

  it('without one of its masters: the publisher passes over its shards', async () => {
    const publisher = createPublisher({ backend, shards: SHARDS, log: createLogger('test', 'silent') })
    releaser.onRelease(() => publisher.close())
    await waitFor('the publisher', () => publisher.isConnected)
    const [first] = cluster.nodes
    await first?.kill9()
    const publish = () => publisher.publish([makeEvent()])
    for (let index = 0; index < 3 * SHARDS; index++) await publish()
    await first?.start()
    await cluster.untilHealthy()
    await waitFor('the shards to be used again', async () => {
      await publish()
      const waiting = await Promise.all(queues.map((queue) => queue.getWaitingCount().catch(() => 0)))
      return waiting.every((jobs) => jobs > 0)
    })
  })
})
