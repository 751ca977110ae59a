import { hash } from 'node:crypto'
import type { RedisConnection } from '@tidings/queue/open-redis'
import { LRUCache } from 'lru-cache'

const MAX_LOCAL = 100_000

/** Remembers what a provider sends once only; see `replayKey` of Receiver. */
export class ReplayKeys {
  readonly #redis: RedisConnection | undefined
  readonly #prefix: string
  readonly #local = new LRUCache<string, true>({ max: MAX_LOCAL })

  /** @param redis shares the keys among replicas. Without it, and while it is away, each process has its own. */
  constructor(redis: RedisConnection | undefined, queuePrefix: string) {
    this.#redis = redis
    this.#prefix = `${queuePrefix}:hook-replay:`
  }

  async isUsed(hookId: string, replayKey: string): Promise<boolean> {
    const key = this.#keyOf(hookId, replayKey)
    if (this.#local.has(key)) return true
    const found = await this.#redis?.exists(key).catch(() => 0)
    return found === 1
  }

  /** Never rejects: the events are accepted, and their identity makes an exact repeat harmless. */
  async remember(hookId: string, replayKey: string, forMs: number): Promise<void> {
    const key = this.#keyOf(hookId, replayKey)
    this.#local.set(key, true, { ttl: forMs })
    await this.#redis?.set(key, '', 'PX', forMs).catch(() => undefined)
  }

  #keyOf(hookId: string, replayKey: string): string {
    return `${this.#prefix}${hash('sha256', `${hookId}:${replayKey}`, 'base64url')}`
  }
}
