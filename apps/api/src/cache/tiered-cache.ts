import { Batcher } from '@tidings/runtime/batcher'
import { LRUCache } from 'lru-cache'
import type { Counter } from 'prom-client'
import type { InvalidationBus } from './invalidation-bus.ts'
import type { SharedCache } from './redis-cache.ts'

/** Values by id: in this process, then in Redis, then from the store. */
export interface TieredCache<Value> {
  /** Undefined when the store has none. Rejects with what the store says when nothing nearer knows. */
  get(id: string): Value | undefined | Promise<Value | undefined>
  /**
   * Call after the change is committed. Resolves when this process knows and Redis and the
   * bus were told, or will be as soon as they can be; never rejects.
   */
  invalidate(ids: readonly string[]): Promise<void>
}

export interface TieredCacheOptions<Value> {
  /** Topic on the bus, and label of the metric. */
  name: string
  maxEntries: number
  /** How long this process believes a value without asking Redis. In milliseconds. */
  localTtlMs: number
  /** Reads values from the store; absent ids are left out. */
  load(ids: readonly string[]): Promise<ReadonlyMap<string, Value>>
  shared: SharedCache<Value> | undefined
  bus: InvalidationBus
  reads: Counter<'cache' | 'tier'>
}

/** How long an id is believed not to exist. In milliseconds. */
const ABSENT_TTL_MS = 1_000
/** Ids read in one round trip, and round trips at once. */
const MAX_BATCH = 500
const MAX_BATCHES_IN_FLIGHT = 4

/** How long until a change that could not be told is told again, in milliseconds, and how many are kept. */
const RETRY_MS = 500
const MAX_UNTOLD = 10_000

interface Entry<Value> {
  value: Value | undefined
}

interface Flight<Value> {
  promise: Promise<Value | undefined>
  /** The value changed while it was on its way: it answers who asked before, and is not kept. */
  outdated: boolean
}

/**
 * A reader meets a change at once in this process, and as soon as the bus delivers in others. When the
 * message is lost, a value is at most as old as both tiers' times to live together.
 */
export function createTieredCache<Value>(options: TieredCacheOptions<Value>): TieredCache<Value> {
  const { name, load, shared, bus, localTtlMs } = options
  const local = new LRUCache<string, Entry<Value>>({ max: options.maxEntries, ttl: localTtlMs })
  const flights = new Map<string, Flight<Value>>()
  const localReads = options.reads.labels({ cache: name, tier: 'local' })
  const sharedReads = options.reads.labels({ cache: name, tier: 'shared' })
  const storeReads = options.reads.labels({ cache: name, tier: 'store' })

  const batcher = new Batcher<string, Value | undefined>({
    maxSize: MAX_BATCH,
    windowMs: 0,
    maxInFlight: MAX_BATCHES_IN_FLIGHT,
    flush: readThrough,
  })

  /** Changes that Redis or the bus could not be told of yet. */
  const untold = new Set<string>()
  let retry: NodeJS.Timeout | undefined

  async function tell(ids: readonly string[]) {
    // In this order: who hears of the change must not find the old value in Redis.
    const removed = (await shared?.remove(ids)) ?? true
    const told =
      removed &&
      (await bus.publish(name, ids).then(
        () => true,
        () => false,
      ))
    for (const id of ids) {
      if (told) untold.delete(id)
      else if (untold.size < MAX_UNTOLD) untold.add(id)
    }
    if (untold.size > 0 && retry === undefined) {
      retry = setTimeout(() => {
        retry = undefined
        void tell([...untold])
      }, RETRY_MS)
      retry.unref()
    }
  }

  async function readThrough(ids: string[]): Promise<(Value | undefined)[]> {
    // What Redis holds of a change it was not told of is old.
    const trusted = untold.size === 0 ? ids : ids.filter((id) => !untold.has(id))
    const found = await (shared?.read(trusted) ?? new Map<string, Value>())
    sharedReads.inc(found.size)
    const missing = ids.filter((id) => !found.has(id))
    if (missing.length === 0) return ids.map((id) => found.get(id))
    storeReads.inc(missing.length)
    const startedMs = performance.now()
    const loaded = await load(missing)
    // Not awaited: who asked has the value already.
    void shared?.write(loaded, performance.now() - startedMs)
    return ids.map((id) => found.get(id) ?? loaded.get(id))
  }

  function fetch(id: string): Promise<Value | undefined> {
    const promise = batcher.add(id)
    const flight: Flight<Value> = { promise, outdated: false }
    flights.set(id, flight)
    const land = () => {
      if (flights.get(id) === flight) flights.delete(id)
    }
    promise.then((value) => {
      land()
      if (!flight.outdated) local.set(id, { value }, value === undefined ? { ttl: ABSENT_TTL_MS } : {})
    }, land)
    return promise
  }

  function forget(ids: readonly string[]) {
    for (const id of ids) {
      local.delete(id)
      const flight = flights.get(id)
      if (flight === undefined) continue
      flight.outdated = true
      flights.delete(id)
    }
  }

  bus.subscribe({
    onChange: (topic, ids) => {
      if (topic === name) forget(ids)
    },
    onGap: () => {
      local.clear()
      forget([...flights.keys()])
    },
  })

  return {
    get(id) {
      const entry = local.get(id)
      if (entry !== undefined) {
        localReads.inc()
        return entry.value
      }
      return flights.get(id)?.promise ?? fetch(id)
    },
    async invalidate(ids) {
      if (ids.length === 0) return
      forget(ids)
      await tell(ids)
      forget(ids)
    },
  }
}
