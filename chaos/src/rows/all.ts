import type { Row } from '../row.ts'
import type { Topology } from '../system.ts'
import { apiRows } from './api.ts'
import { clockRows } from './clocks.ts'
import { clusterRows } from './cluster.ts'
import { eventRows } from './events.ts'
import { feedbackRows } from './feedback.ts'
import { fullDiskRows } from './full-disks.ts'
import { keepAliveRows } from './keep-alive.ts'
import { linkRows } from './links.ts'
import { nemesisRow } from './nemesis.ts'
import { pgbouncerRows } from './pgbouncer.ts'
import { postgresRows } from './postgres.ts'
import { postgresQueueRows } from './postgres-queue.ts'
import { redisRows } from './redis.ts'
import { redisEmptyRow } from './redis-empty.ts'
import { replicaRows } from './replica.ts'
import { rollingUpgradeRow } from './rolling-upgrade.ts'
import { sentinelRows } from './sentinel.ts'
import { unresolvedRow } from './unresolved.ts'
import { workerRows } from './worker.ts'

const ROWS: readonly Row[] = [
  ...apiRows,
  ...workerRows,
  ...redisRows,
  ...postgresRows,
  ...eventRows,
  ...feedbackRows,
  unresolvedRow,
  ...postgresQueueRows,
  redisEmptyRow,
  ...fullDiskRows,
  ...linkRows,
  ...clockRows,
  ...keepAliveRows,
  rollingUpgradeRow,
  nemesisRow,
]

export const TOPOLOGY_ROWS: Readonly<Record<Topology, readonly Row[]>> = {
  cluster: clusterRows,
  sentinel: sentinelRows,
  pgbouncer: pgbouncerRows,
  replica: replicaRows,
}

/** The fault matrix: of one PostgreSQL and one Redis, or of another topology. */
export const rowsOf = (topology: Topology | undefined): readonly Row[] =>
  topology === undefined ? ROWS : TOPOLOGY_ROWS[topology]
