import type { QueueBackend } from '../backend.ts'
import type { DeadLetterStore } from './store.ts'
import { openPostgresDeadLetters } from './store-postgres.ts'
import { openRedisDeadLetters } from './store-redis.ts'

export interface OpenDeadLettersOptions {
  backend: QueueBackend
  shards: number
  onError(error: Error): void
  /** Opens the store also while a master of a Redis Cluster is away. See DeadLetterStore.away. */
  skipAway?: boolean
}

/**
 * Opens the dead letters on new connections; `close()` closes them.
 *
 * @throws when the store does not answer; without `skipAway` also while one master of a cluster does not.
 */
export function openDeadLetters(options: OpenDeadLettersOptions): Promise<DeadLetterStore> {
  const { backend } = options
  return backend.kind === 'redis'
    ? openRedisDeadLetters({ ...options, backend })
    : openPostgresDeadLetters({ ...options, backend })
}
