import { errorMessage } from '@tidings/shared/errors'
import { CONNECTION_CLOSED } from './connection-closed.ts'
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
  // On a cluster: the nodes may announce addresses that cannot be reached from here.
  const onNodeError = ({ message }: Error) => {
    if (message !== CONNECTION_CLOSED) why = `: ${message}`
  }
  redis.on('error', onError).on('node error', onNodeError).once('ready', resolve)
  await promise.finally(() => {
    clearTimeout(timer)
    redis.off('error', onError).off('node error', onNodeError).off('ready', resolve)
  })
}
