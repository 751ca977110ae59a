import { type Database, openDatabase } from '@tidings/db/database'
import { Replica } from '@tidings/db/replica'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'

const CONNECTIONS = 8
const CONNECT_TIMEOUT_MS = 1_000

interface OpenReplicaOptions {
  primary: Database
  primaryUrl: string
  lifecycle: Lifecycle
  log: Logger
}

/** Opens the replica for reads, if there is one, and registers its release. */
export function openReplica(
  url: string | undefined,
  { primary, primaryUrl, lifecycle, log }: OpenReplicaOptions,
): Replica | undefined {
  if (url === undefined) return undefined
  const warn = throttledWarning(log, 'connection to the replica')
  const open = (to: string, maxConnections: number, onError: (error: Error) => void) => {
    const db = openDatabase({
      url: to,
      applicationName: 'tidings-api-reads',
      maxConnections,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      onError,
    })
    lifecycle.onRelease('replica', () => db.close())
    return db
  }
  const replica = new Replica({
    primary,
    replica: open(url, CONNECTIONS, warn),
    // The pool of the primary reports the same errors.
    checks: { primary: open(primaryUrl, 1, () => undefined), replica: open(url, 1, warn) },
    onChange: (isUsed, reason) =>
      isUsed
        ? log.info('history, search and statistics are read from the replica')
        : log.warn({ reason }, 'the replica is not used: the primary answers instead'),
  })
  lifecycle.onRelease('checks of the replica', () => replica.close())
  return replica
}
