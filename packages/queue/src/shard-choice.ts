/** How long a shard is passed over after a failure, in milliseconds. Then one envelope tries it again. */
const PAUSE_MS = 500

/** Chooses the shards in turn, and passes over those whose master is away. */
export class ShardChoice {
  /** When each shard may be tried again, in milliseconds. 0 while it works. */
  readonly #retryAtMs: number[]
  #turn = 0

  constructor(shards: number) {
    this.#retryAtMs = Array.from({ length: shards }, () => 0)
  }

  /** The number of the next shard; undefined while all are passed over. */
  next(nowMs = performance.now()): number | undefined {
    const shards = this.#retryAtMs.length
    for (let tried = 0; tried < shards; tried++) {
      const shard = this.#turn++ % shards
      const retryAtMs = this.#retryAtMs[shard] ?? 0
      if (retryAtMs > nowMs) continue
      // Until this attempt has an outcome, others go elsewhere.
      if (retryAtMs > 0) this.#retryAtMs[shard] = nowMs + PAUSE_MS
      return shard
    }
    return undefined
  }

  succeeded(shard: number): void {
    this.#retryAtMs[shard] = 0
  }

  failed(shard: number, nowMs = performance.now()): void {
    this.#retryAtMs[shard] = nowMs + PAUSE_MS
  }
}
