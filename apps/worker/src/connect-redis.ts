import { openRedis } from '@tidings/queue/backend'
import { StartupError } from '@tidings/runtime/env'
import { errorMessage } from '@tidings/shared/errors'
import { type Redis, ReplyError } from 'ioredis'

/**
 * Opens a patient connection, and resolves when Redis has answered for the first time. A Queue that is built earlier
 * may never work.
 *
 * @throws StartupError when Redis refuses the user or the password.
 */
export async function connectRedis(url: string, onError: (error: Error) => void): Promise<Redis> {
  const redis = openRedis(url, 'patient', onError)
  try {
    await redis.ping()
    return redis
  } catch (error) {
    redis.disconnect()
    if (!(error instanceof ReplyError)) throw error
    throw new StartupError(
      `Redis refuses the worker (${errorMessage(error)}). Check the user and the password of REDIS_URL.`,
    )
  }
}
