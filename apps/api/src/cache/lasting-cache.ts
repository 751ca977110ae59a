import { withDeadline } from '@tidings/runtime/deadline'
import { AppError } from '@tidings/shared/errors'
import { LRUCache } from 'lru-cache'
import type { MaybePromise } from '../http/and-then.ts'
import type { SharedCache } from './redis-cache.ts'

/** A value is looked up again after this time, so a revoked one stops working within it. In milliseconds. */
const FRESH_MS = 30_000
/** An absent value is known from memory for this time. Short, so that a new one works soon. In milliseconds. */
const ABSENT_MS = 2_000
/**
 * How long a request waits for PostgreSQL, in milliseconds. A locked table and a proxy that swallows packets give no
 * answer for many seconds, and a status post is answered within one.
 */
const LOOK_UP_WITHIN_MS = 300
/** How long Redis keeps a value for APIs that start while PostgreSQL is unreachable, in milliseconds. */
export const SHARED_TTL_MS = 24 * 60 * 60 * 1000
const MAX_CACHED = 10_000
const MAX_CACHED_ABSENT = 10_000

interface Entry<Value> {
  value: Value
  freshUntilMs: number
}

export interface LastingCacheOptions<Stored, Value> {
  /** Asks PostgreSQL. Gets the id that `idOf` made. */
  load(id: string): Promise<Stored | undefined>
  /** Makes the value that this process keeps of the one that Redis keeps. It may throw. */
  open(stored: Stored): Value
  /** The id of a key: what memory, Redis and the log may hold of an unknown one. The key itself when absent. */
  idOf?(key: string): string
  /** Used while PostgreSQL does not answer. Undefined without Redis. */
  shared?: SharedCache<Stored> | undefined
  /** How long a caller waits for PostgreSQL when this process does not know the value, in milliseconds. Default: 300. */
  firstLookUpWithinMs?: number
  /** The clock, in milliseconds since the epoch. */
  now?: (() => number) | undefined
}

/**
 * Credentials by key, from memory. It asks PostgreSQL about each at most once in 30 s. While PostgreSQL does not answer,
 * a value stays valid that this process or Redis knows.
 */
export class LastingCache<Stored, Value> {
  readonly #load: LastingCacheOptions<Stored, Value>['load']
  readonly #open: LastingCacheOptions<Stored, Value>['open']
  readonly #idOf: (key: string) => string
  readonly #shared: SharedCache<Stored> | undefined
  readonly #firstLookUpWithinMs: number
  readonly #now: () => number
  readonly #known = new LRUCache<string, Entry<Value>>({ max: MAX_CACHED })
  readonly #absentUntilMs = new LRUCache<string, number>({ max: MAX_CACHED_ABSENT })
  readonly #loading = new Map<string, Promise<Value | undefined>>()
  readonly #lookUps = new Map<string, Promise<Value | undefined>>()

  constructor(options: LastingCacheOptions<Stored, Value>) {
    this.#load = options.load
    this.#open = options.open
    this.#idOf = options.idOf ?? ((key) => key)
    this.#shared = options.shared
    this.#firstLookUpWithinMs = options.firstLookUpWithinMs ?? LOOK_UP_WITHIN_MS
    this.#now = options.now ?? Date.now
  }

  /**
   * Undefined when the value does not exist. For a value that is in no cache, it rejects with the error of PostgreSQL, or
   * with `unavailable` when PostgreSQL does not answer in time.
   */
  get(key: string): MaybePromise<Value | undefined> {
    const entry = this.#known.get(key)
    if (entry !== undefined && entry.freshUntilMs > this.#now()) return entry.value
    // An unknown text can be of any length, so memory keeps its id.
    const id = this.#idOf(key)
    if ((this.#absentUntilMs.get(id) ?? 0) > this.#now()) return undefined
    return once(this.#loading, id, () => this.#find(key, id))
  }

  async #find(key: string, id: string): Promise<Value | undefined> {
    let failure: unknown
    const withinMs = this.#known.has(key) ? LOOK_UP_WITHIN_MS : this.#firstLookUpWithinMs
    try {
      const asked = once(this.#lookUps, id, () => this.#lookUp(key, id))
      return await withDeadline(asked, withinMs, noAnswer)
    } catch (error) {
      failure = error
    }
    const stale = this.#known.get(key)
    if (stale !== undefined) {
      // Ask again soon, but not for every request.
      stale.freshUntilMs = this.#now() + ABSENT_MS
      return stale.value
    }
    const found = (await this.#shared?.read([id]))?.get(id)
    if (found !== undefined) return this.#remember(key, found, ABSENT_MS)
    throw failure
  }

  /** Asks PostgreSQL. The answer is remembered also when it comes too late for the request. */
  async #lookUp(key: string, id: string): Promise<Value | undefined> {
    const startedMs = performance.now()
    const found = await this.#load(id)
    if (found === undefined) {
      this.#known.delete(key)
      this.#absentUntilMs.set(id, this.#now() + ABSENT_MS)
      void this.#forgetShared(id)
      return undefined
    }
    // Not awaited: without Redis the value is valid too.
    void this.#shared?.write(new Map([[id, found]]), performance.now() - startedMs)
    return this.#remember(key, found, FRESH_MS)
  }

  #remember(key: string, found: Stored, forMs: number): Value {
    const value = this.#open(found)
    this.#known.set(key, { value, freshUntilMs: this.#now() + forMs })
    return value
  }

  /** Removes a revoked value. Most unknown ones are not there, and removing writes. */
  async #forgetShared(id: string) {
    if ((await this.#shared?.read([id]))?.has(id)) await this.#shared?.remove([id])
  }
}

/** Starts the work, or joins the work of the same id that has not ended. */
function once<Result>(
  running: Map<string, Promise<Result>>,
  id: string,
  start: () => Promise<Result>,
): Promise<Result> {
  let promise = running.get(id)
  if (promise === undefined) {
    promise = start().finally(() => running.delete(id))
    running.set(id, promise)
  }
  return promise
}

const noAnswer = () => new AppError('unavailable', 'The database does not answer. Try again shortly.')
