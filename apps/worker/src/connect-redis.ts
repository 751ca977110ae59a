import { openRedis, type RedisConnection, type RedisTarget, refusalIn } from '@tidings/queue/open-redis'
import { StartupError } from '@tidings/runtime/env'
import { errorMessage } from '@tidings/shared/errors'
import { Cluster } from 'ioredis'

/**
 * Opens a patient connection, and resolves when Redis has answered for the first time. A Queue that is built earlier
 * may never work.
 *
 * @throws StartupError when Redis refuses the user or the password.
 */
export async function connectRedis(
  target: RedisTarget,
  onError: (error: Error) => void,
): Promise<RedisConnection> {
  const redis = openRedis(target, 'patient', onError)
  try {
    await Promise.race(
      [redis.ping(), redis instanceof Cluster ? clusterRefusal(redis) : undefined].filter(Boolean),
    )
    return redis
  } catch (error) {
    redis.disconnect()
    if (!(error instanceof Error) || !refusalIn(error)) throw error
    throw new StartupError(
      `Redis refuses the worker (${errorMessage(refusalIn(error))}). Check the user and the password of REDIS_URL.`,
    )
  }
}

/** Rejects when every node refuses. A command on a cluster waits instead. */
const clusterRefusal = (cluster: Cluster) =>
  new Promise<never>((_, reject) => {
    cluster.on('error', (error: Error) => {
      if (refusalIn(error)) reject(error)
    })
  })
