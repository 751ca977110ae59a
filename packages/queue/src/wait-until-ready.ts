import { errorMessage } from '@tidings/shared/errors'
import { isRefusal, nodeErrorOf, type RedisConnection } from './open-redis.ts'
import { StoreUnreachableError } from './store-unreachable.ts'

/** How long to wait for Redis at the start, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3_000

/** @throws StoreUnreachableError with the last reason. Redis answers a wrong password at once: then it does not wait. */
export async function waitUntilReady(redis: RedisConnection): Promise<void> {
  if (redis.status === 'ready') return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let why = ''
  const timer = setTimeout(
    () => reject(new StoreUnreachableError(`Redis does not answer${why}`)),
    CONNECT_TIMEOUT_MS,
  )
  const onError = (error: Error) => {
    why = `: ${errorMessage(nodeErrorOf(error))}`
    if (isRefusal(error)) reject(new StoreUnreachableError(`Redis refuses${why}`, { isRefusal: true }))
  }
  redis.on('error', onError).once('ready', resolve)
  await promise.finally(() => {
    clearTimeout(timer)
    redis.off('error', onError).off('ready', resolve)
  })
}
