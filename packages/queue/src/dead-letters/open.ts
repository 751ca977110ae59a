import type { QueueBackend } from '../backend.ts'
import type { DeadLetterStore } from './store.ts'
import { openPostgresDeadLetters } from './store-postgres.ts'
import { openRedisDeadLetters } from './store-redis.ts'

export interface OpenDeadLettersOptions {
  backend: QueueBackend
  shards: number
  onError(error: Error): void
}

/** Opens the dead letters on new connections; `close()` closes them. */
export function openDeadLetters(options: OpenDeadLettersOptions): Promise<DeadLetterStore> {
  const { backend } = options
  return backend.kind === 'redis'
    ? openRedisDeadLetters({ ...options, backend })
    : openPostgresDeadLetters({ ...options, backend })
}
