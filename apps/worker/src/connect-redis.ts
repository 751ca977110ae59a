import {
  isRefusal,
  nodeErrorOf,
  openRedis,
  type RedisConnection,
  type RedisTarget,
} from '@tidings/queue/open-redis'
import { StartupError } from '@tidings/runtime/env'
import { errorMessage } from '@tidings/shared/errors'

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
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onFailure = (error: Error) => {
    if (!isRefusal(error)) return
    redis.disconnect()
    reject(
      new StartupError(
        `Redis refuses the worker (${errorMessage(nodeErrorOf(error))}). Check the user and the password of REDIS_URL.`,
      ),
    )
  }
  redis.on('error', onFailure).once('ready', resolve)
  await promise
  redis.off('error', onFailure)
  return redis
}
