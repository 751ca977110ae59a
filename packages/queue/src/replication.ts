import type { JobQueue } from './backend.ts'
import { nodeOf, type RedisConnection } from './open-redis.ts'

/** Too few replicas confirmed a write in time. The master has it, and may be the only one. */
class TooFewReplicasError extends Error {
  constructor(confirmed: number, wanted: number) {
    super(`${confirmed} of ${wanted} replicas confirmed the write in time`)
    this.name = 'TooFewReplicasError'
  }
}

/** A queue on Redis, as far as its keys say where it is. */
export type KeyedQueue = Pick<JobQueue<never>, 'toKey'>

/** How long replicas may take, in milliseconds. Shorter than a command on a fail-fast connection may. */
const CONFIRM_WITHIN_MS = 200

/**
 * Writes to a queue, and waits until `replicas` replicas of its master have received what was written. It blocks the
 * connection meanwhile. With 0 replicas it only writes.
 *
 * @param redis the connection of the queue.
 * @throws TooFewReplicasError, or the error of the write.
 */
export async function writeReplicated(
  queue: KeyedQueue,
  redis: RedisConnection | undefined,
  replicas: number,
  write: () => Promise<unknown>,
): Promise<void> {
  if (redis === undefined || replicas === 0) {
    await write()
    return
  }
  const key = queue.toKey('')
  const node = nodeOf(redis, key)
  const { stream } = node
  await write()
  // WAIT covers the writes of its own connection only. Over another one it would count every replica at once.
  const isSame = () => nodeOf(redis, key) === node && node.stream === stream
  if (!isSame()) throw new TooFewReplicasError(0, replicas)
  const confirmed = await node.wait(replicas, CONFIRM_WITHIN_MS)
  if (confirmed < replicas || !isSame()) throw new TooFewReplicasError(isSame() ? confirmed : 0, replicas)
}
