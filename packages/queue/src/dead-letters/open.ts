import type { QueueBackend } from '../backend.ts'
import type { DeadLetterStore } from './store.ts'
import { openPostgresDeadLetters } from './store-postgres.ts'
import { openRedisDeadLetters } from './store-redis.ts'

export interface OpenDeadLettersOptions {
  backend: QueueBackend
  shards: number
  onError(error: Error): void
}

/** Opens the dead letters with connections of its own. `close()` gives them back. */
export function openDeadLetters(options: OpenDeadLettersOptions): Promise<DeadLetterStore> {
  const { backend } = options
  return backend.kind === 'redis'
    ? openRedisDeadLetters({ ...options, backend })
    : openPostgresDeadLetters({ ...options, backend })
}
