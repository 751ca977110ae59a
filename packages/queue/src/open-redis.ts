import { Redis, type RedisOptions } from 'ioredis'

/**
 * How a Redis connection behaves when Redis does not answer:
 * - `fail-fast`: commands fail soon. For requests that have another store to use.
 * - `patient`: commands wait. For workers.
 * - `operator`: a command whose connection is lost fails and is not sent again. For the CLI: a repeated command could
 *   undo the change of another operator.
 */
export type ConnectionMode = 'fail-fast' | 'patient' | 'operator'

/** Time limit of a command on a fail-fast connection, in milliseconds. */
const FAIL_FAST_COMMAND_TIMEOUT_MS = 300
const RECONNECT_CAP_MS = 1_000
/**
 * A connection that gets no answer for this long is closed and opened again, in milliseconds. Otherwise a peer that
 * vanished without closing would be waited for until the kernel gives up, after about 15 minutes. It must exceed the
 * 10 s for which a worker blocks while it waits for jobs.
 */
export const SILENCE_LIMIT_MS = 15_000
const FAIL_FAST_SILENCE_LIMIT_MS = 2_000

const CONNECTION_OPTIONS = {
  'fail-fast': {
    enableOfflineQueue: false,
    // The caller stopped waiting and stored the events in another way.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    commandTimeout: FAIL_FAST_COMMAND_TIMEOUT_MS,
    socketTimeout: FAIL_FAST_SILENCE_LIMIT_MS,
  },
  patient: { maxRetriesPerRequest: null },
  // With any other number, a command that is not sent again would never settle.
  operator: { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
} as const satisfies Record<ConnectionMode, RedisOptions>

export const retryStrategy = (attempt: number) => Math.min(attempt * 50, RECONNECT_CAP_MS)

/** Opens a Redis connection that connects in the background and reconnects within a second, for ever. */
export function openRedis(
  url: string,
  mode: ConnectionMode,
  onError: (error: Error) => void,
  silenceLimitMs = SILENCE_LIMIT_MS,
): Redis {
  const redis = new Redis(url, {
    retryStrategy,
    connectTimeout: 2_000,
    socketTimeout: silenceLimitMs,
    ...CONNECTION_OPTIONS[mode],
  })
  redis.on('error', onError)
  return redis
}
