import { withDeadline } from '@tidings/runtime/deadline'
import { Cluster } from 'ioredis'
import type { RedisConnection } from './open-redis.ts'
import { StoreUnreachableError } from './store-unreachable.ts'

/** How long one master may take before the work for the others goes on, in milliseconds. */
const MASTER_LIMIT_MS = 3_000

/**
 * The answer of one master of a cluster, or a failure after 3 s. A patient command would wait half a minute for a master
 * that is away, and longer for a frozen one. There is no limit where there are no other masters.
 *
 * @throws StoreUnreachableError when it takes longer. The command may still be run later.
 */
export function unlessAway<Answer>(
  redis: RedisConnection | undefined,
  asked: Promise<Answer>,
): Promise<Answer> {
  if (!(redis instanceof Cluster)) return asked
  return withDeadline(asked, MASTER_LIMIT_MS, away)
}

/** How long writes to a master that is away fail at once, in milliseconds. Then one write tries it again. */
const PAUSE_MS = 5_000

/**
 * Makes a function that runs writes to one master. After a failure it refuses them for a while: each would wait until its
 * time is over, and a job of another master would wait with it.
 *
 * @param redis the connection of the writes. Where there is no other master, every write is tried.
 */
export function createAwayBreaker(
  redis: RedisConnection | undefined,
): (write: () => Promise<unknown>) => Promise<void> {
  /** 0 while the master answers. */
  let retryAtMs = 0
  return async (write) => {
    if (retryAtMs > performance.now()) throw away()
    // Until this attempt has an outcome, others are refused.
    if (retryAtMs > 0) retryAtMs = Number.POSITIVE_INFINITY
    try {
      await write()
      retryAtMs = 0
    } catch (error) {
      if (redis instanceof Cluster) retryAtMs = performance.now() + PAUSE_MS
      throw error
    }
  }
}

const away = () => new StoreUnreachableError('A master of the Redis Cluster does not answer')

/** The first answer that is no failure. @throws the error of the first one when all fail. */
export async function firstAnswer<Answer>(asked: readonly Promise<Answer>[]): Promise<Answer> {
  try {
    return await Promise.any(asked)
  } catch (error) {
    throw error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error
  }
}

/** The answers of the shards or nodes that answer. @throws the first error when none does. */
export async function answersOf<Answer>(asked: readonly Promise<Answer>[]): Promise<Answer[]> {
  const settled = await Promise.allSettled(asked)
  const answers = settled.filter((each) => each.status === 'fulfilled').map(({ value }) => value)
  if (answers.length === 0) await asked[0]
  return answers
}
