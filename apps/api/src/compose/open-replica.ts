import { type Database, openDatabase } from '@tidings/db/database'
import { Replica } from '@tidings/db/replica'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'

const CONNECTIONS = 8
const CONNECT_TIMEOUT_MS = 1_000

/** Opens the replica for reads, if there is one, and registers its release. */
export function openReplica(
  url: string | undefined,
  options: { primary: Database; lifecycle: Lifecycle; log: Logger },
): Replica | undefined {
  if (url === undefined) return undefined
  const { primary, lifecycle, log } = options
  const db = openDatabase({
    url,
    applicationName: 'tidings-api-reads',
    maxConnections: CONNECTIONS,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    onError: throttledWarning(log, 'connection to the replica'),
  })
  lifecycle.onRelease('replica', () => db.close())
  const replica = new Replica({
    primary,
    replica: db,
    onChange: (isUsed) =>
      isUsed
        ? log.info('history, search and statistics are read from the replica')
        : log.warn('the replica is away or behind: the primary answers instead'),
  })
  lifecycle.onRelease('checks of the replica', () => replica.close())
  return replica
}
