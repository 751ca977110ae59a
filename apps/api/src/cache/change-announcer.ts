import type { InvalidationBus } from './invalidation-bus.ts'
import type { SharedCache } from './redis-cache.ts'

/** Time until a change that could not be announced is announced again. */
const RETRY_MS = 500
/** Ids kept for a retry. */
const MAX_PENDING = 10_000

/**
 * Announces changes: removes the old values from Redis, then tells the other replicas. What fails is repeated
 * until it succeeds.
 */
export class ChangeAnnouncer {
  readonly #topic: string
  readonly #shared: SharedCache<unknown> | undefined
  readonly #bus: InvalidationBus
  readonly #pending = new Set<string>()
  #retryTimer: NodeJS.Timeout | undefined

  constructor(topic: string, shared: SharedCache<unknown> | undefined, bus: InvalidationBus) {
    this.#topic = topic
    this.#shared = shared
    this.#bus = bus
  }

  /** Never rejects. */
  async announce(ids: readonly string[]): Promise<void> {
    const isAnnounced = await this.#tryAnnounce(ids)
    for (const id of ids) {
      if (isAnnounced) this.#pending.delete(id)
      else if (this.#pending.size < MAX_PENDING) this.#pending.add(id)
    }
    if (this.#pending.size > 0) this.#retryLater()
  }

  /** The ids whose value in Redis can be used: an unannounced change leaves the old value there. */
  trusted(ids: readonly string[]): readonly string[] {
    return this.#pending.size === 0 ? ids : ids.filter((id) => !this.#pending.has(id))
  }

  async #tryAnnounce(ids: readonly string[]): Promise<boolean> {
    // In this order: a replica that hears of the change must not find the old value in Redis.
    const isRemoved = (await this.#shared?.remove(ids)) ?? true
    if (!isRemoved) return false
    try {
      await this.#bus.publish(this.#topic, ids)
      return true
    } catch {
      return false
    }
  }

  #retryLater() {
    if (this.#retryTimer !== undefined) return
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined
      void this.announce([...this.#pending])
    }, RETRY_MS)
    this.#retryTimer.unref()
  }
}
