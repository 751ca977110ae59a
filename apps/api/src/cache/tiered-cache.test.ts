import { waitFor } from '@tidings/stack/servers/wait-for'
import { Counter, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import type { InvalidationBus, Subscriber } from './invalidation-bus.ts'
import type { SharedCache } from './redis-cache.ts'
import { TieredCache, type TieredCacheOptions } from './tiered-cache.ts'

interface Value {
  text: string
}

/** A bus between the caches of one process. */
function createLocalBus(): InvalidationBus & { loseConnection(): void } {
  const subscribers: Subscriber[] = []
  return {
    async publish(topic, ids) {
      for (const { onChange } of subscribers) onChange(topic, ids)
    },
    subscribe: (subscriber) => void subscribers.push(subscriber),
    loseConnection() {
      for (const { onGap } of subscribers) onGap()
    },
    close: () => Promise.resolve(),
  }
}

const newCounter = () =>
  new Counter({ name: 'reads', help: 'reads', labelNames: ['cache', 'tier'], registers: [new Registry()] })

function openCache(options: Partial<TieredCacheOptions<Value>>): TieredCache<Value> {
  return new TieredCache({
    name: 'test',
    maxEntries: 10,
    localTtlMs: 60_000,
    load: async (ids) => new Map(ids.map((id) => [id, { text: 'stored' }])),
    shared: undefined,
    bus: createLocalBus(),
    reads: newCounter(),
    ...options,
  })
}

/** A store whose reads wait until the test lets them through. */
class SlowStore {
  loads = 0
  current: Value
  #waiting: (() => void)[] = []

  constructor(value: Value) {
    this.current = value
  }

  load = async (ids: readonly string[]) => {
    this.loads++
    const found = new Map(ids.map((id) => [id, this.current]))
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return found
  }

  async letThrough() {
    await waitFor('a read to arrive', () => this.#waiting.length > 0, { intervalMs: 1 })
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

describe('a cache without Redis', () => {
  it('loads once for a hundred concurrent readers', async () => {
    const store = new SlowStore({ text: 'first' })
    const reads = newCounter()
    const cache = openCache({ load: store.load, reads })
    const readers = Promise.all(Array.from({ length: 100 }, () => cache.get('a')))
    await store.letThrough()
    expect(new Set(await readers)).toEqual(new Set([{ text: 'first' }]))
    expect(store.loads).toBe(1)
    expect(cache.get('a')).toEqual({ text: 'first' })
    const { values } = await reads.get()
    const byTier = Object.fromEntries(values.map(({ labels, value }) => [labels.tier, value]))
    expect(byTier).toEqual({ local: 1, shared: 0, store: 1 })
  })

  it('does not keep a value that changed during the read', async () => {
    const store = new SlowStore({ text: 'old' })
    const cache = openCache({ load: store.load })
    const early = cache.get('a')
    await waitFor('the read', () => store.loads === 1, { intervalMs: 1 })
    store.current = { text: 'new' }
    await cache.invalidate(['a'])
    const late = cache.get('a')
    await store.letThrough()
    await early
    await store.letThrough()
    expect(await late).toEqual({ text: 'new' })
    expect(cache.get('a')).toEqual({ text: 'new' })
  })

  it('forgets everything when messages may have been missed', async () => {
    const bus = createLocalBus()
    let loads = 0
    const load = async (ids: readonly string[]) => new Map(ids.map((id) => [id, { text: String(++loads) }]))
    const cache = openCache({ load, bus })
    expect(await cache.get('a')).toEqual({ text: '1' })
    bus.loseConnection()
    expect(await cache.get('a')).toEqual({ text: '2' })
  })

  it('keeps fewer values when they are heavy', async () => {
    let loads = 0
    const load = async (ids: readonly string[]) => {
      loads += ids.length
      return new Map(ids.map((id) => [id, { text: id }]))
    }
    const cache = openCache({ load, weigh: ({ text }) => Number(text) })
    for (const id of ['6', '4', '1']) await cache.get(id)
    expect([cache.get('4'), cache.get('1')]).toEqual([{ text: '4' }, { text: '1' }])
    expect(await cache.get('6')).toEqual({ text: '6' })
    expect(loads).toBe(4)
  })

  it("rejects with the store's error, and asks the store again next time", async () => {
    let isBroken = true
    const cache = openCache({
      load: async (ids) => {
        if (isBroken) throw new Error('store is away')
        return new Map(ids.map((id) => [id, { text: 'back' }]))
      },
    })
    await expect(cache.get('a')).rejects.toThrow('store is away')
    isBroken = false
    expect(await cache.get('a')).toEqual({ text: 'back' })
  })
})

describe('a change that cannot be removed from Redis', () => {
  it('is seen by this process at once, and announced when Redis is back', async () => {
    const announced: string[][] = []
    let isRedisUp = false
    const values = new Map([['a', { text: 'old' }]])
    const shared: SharedCache<Value> = {
      read: async (ids) => new Map([...values].filter(([id]) => ids.includes(id))),
      write: async () => {},
      remove: async (ids) => isRedisUp && ids.every((id) => values.delete(id)),
    }
    const bus = {
      ...createLocalBus(),
      publish: async (_: string, ids: readonly string[]) => void announced.push([...ids]),
    }
    const cache = openCache({ shared, bus })
    expect(await cache.get('a')).toEqual({ text: 'old' })
    await cache.invalidate(['a'])
    expect(await cache.get('a')).toEqual({ text: 'stored' })
    expect(announced).toEqual([])
    isRedisUp = true
    await waitFor('the message', () => announced.length > 0)
    expect(announced).toEqual([['a']])
  })
})
