import { Batcher } from '@tidings/runtime/batcher'
import { LRUCache } from 'lru-cache'
import type { Counter } from 'prom-client'
import { ChangeAnnouncer } from './change-announcer.ts'
import type { InvalidationBus } from './invalidation-bus.ts'
import type { SharedCache } from './redis-cache.ts'

export interface TieredCacheOptions<Value> {
  /** Topic on the bus, and label of the metric. */
  name: string
  maxEntries: number
  /** How many entries a value counts as, at least 1. Each value is one entry when absent. */
  weigh?(value: Value): number
  /** How long this process keeps a value without asking Redis, in milliseconds. */
  localTtlMs: number
  /** Reads values from the store. Leaves out absent ids. */
  load(ids: readonly string[]): Promise<ReadonlyMap<string, Value>>
  /** Undefined without Redis. */
  shared: SharedCache<Value> | undefined
  bus: InvalidationBus
  reads: Counter<'cache' | 'tier'>
}

/** How long the cache remembers that an id does not exist. */
const ABSENT_TTL_MS = 1_000
/** Ids in one round trip. */
const MAX_BATCH = 500
/** Round trips at once. */
const MAX_BATCHES_IN_FLIGHT = 4

interface Entry<Value> {
  value: Value | undefined
}

interface Flight<Value> {
  promise: Promise<Value | undefined>
  /** The value changed during the read. It answers earlier callers and is not kept. */
  isOutdated: boolean
}

/**
 * Caches values by id in this process, over Redis, over a store.
 *
 * This process sees a change at once, other replicas as soon as the bus delivers it. When the message is lost, a
 * value is at most as old as the lifetimes of both tiers together.
 */
export class TieredCache<Value> {
  readonly #load: TieredCacheOptions<Value>['load']
  readonly #shared: SharedCache<Value> | undefined
  readonly #local: LRUCache<string, Entry<Value>>
  readonly #flights = new Map<string, Flight<Value>>()
  readonly #batcher: Batcher<string, Value | undefined>
  readonly #announcer: ChangeAnnouncer
  readonly #localReads: Counter.Internal
  readonly #sharedReads: Counter.Internal
  readonly #storeReads: Counter.Internal

  constructor({ name, maxEntries, weigh, localTtlMs, load, shared, bus, reads }: TieredCacheOptions<Value>) {
    this.#load = load
    this.#shared = shared
    this.#local = new LRUCache({
      max: maxEntries,
      ttl: localTtlMs,
      ...(weigh && {
        maxSize: maxEntries,
        sizeCalculation: ({ value }: Entry<Value>) => (value === undefined ? 1 : weigh(value)),
      }),
    })
    this.#announcer = new ChangeAnnouncer(name, shared, bus)
    this.#localReads = reads.labels({ cache: name, tier: 'local' })
    this.#sharedReads = reads.labels({ cache: name, tier: 'shared' })
    this.#storeReads = reads.labels({ cache: name, tier: 'store' })
    this.#batcher = new Batcher({
      maxSize: MAX_BATCH,
      windowMs: 0,
      maxInFlight: MAX_BATCHES_IN_FLIGHT,
      flush: (ids) => this.#readThrough(ids),
    })
    bus.subscribe({
      onChange: (topic, ids) => {
        if (topic === name) this.#forget(ids)
      },
      onGap: () => {
        this.#local.clear()
        this.#forget([...this.#flights.keys()])
      },
    })
  }

  /** Undefined when the store has no value. Rejects with the store's error when no tier above has the value. */
  get(id: string): Value | undefined | Promise<Value | undefined> {
    const entry = this.#local.get(id)
    if (entry !== undefined) {
      this.#localReads.inc()
      return entry.value
    }
    return this.#flights.get(id)?.promise ?? this.#fetch(id)
  }

  /**
   * Call after the change is committed. Resolves when this process has forgotten the values, and Redis and the
   * bus were told or the announcement was put off. Never rejects.
   */
  async invalidate(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    this.#forget(ids)
    await this.#announcer.announce(ids)
    // Again: a read in between may have found the old value in Redis.
    this.#forget(ids)
  }

  #fetch(id: string): Promise<Value | undefined> {
    const promise = this.#batcher.add(id)
    const flight: Flight<Value> = { promise, isOutdated: false }
    this.#flights.set(id, flight)
    const land = () => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id)
    }
    promise.then((value) => {
      land()
      if (!flight.isOutdated)
        this.#local.set(id, { value }, value === undefined ? { ttl: ABSENT_TTL_MS } : {})
    }, land)
    return promise
  }

  async #readThrough(ids: string[]): Promise<(Value | undefined)[]> {
    const found = await (this.#shared?.read(this.#announcer.trusted(ids)) ?? new Map<string, Value>())
    this.#sharedReads.inc(found.size)
    const missing = ids.filter((id) => !found.has(id))
    if (missing.length === 0) return ids.map((id) => found.get(id))
    this.#storeReads.inc(missing.length)
    const startedMs = performance.now()
    const loaded = await this.#load(missing)
    // Not awaited: the caller has the value already.
    void this.#shared?.write(loaded, performance.now() - startedMs)
    return ids.map((id) => found.get(id) ?? loaded.get(id))
  }

  #forget(ids: readonly string[]) {
    for (const id of ids) {
      this.#local.delete(id)
      const flight = this.#flights.get(id)
      if (flight === undefined) continue
      flight.isOutdated = true
      this.#flights.delete(id)
    }
  }
}
