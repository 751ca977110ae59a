import type { Row } from '../row.ts'
import { apiRows } from './api.ts'
import { eventRows } from './events.ts'
import { feedbackRows } from './feedback.ts'
import { keepAliveRows } from './keep-alive.ts'
import { nemesisRow } from './nemesis.ts'
import { postgresRows } from './postgres.ts'
import { postgresQueueRows } from './postgres-queue.ts'
import { redisRows } from './redis.ts'
import { rollingUpgradeRow } from './rolling-upgrade.ts'
import { workerRows } from './worker.ts'

/** The fault matrix. */
export const ROWS: readonly Row[] = [
  ...apiRows,
  ...workerRows,
  ...redisRows,
  ...postgresRows,
  ...eventRows,
  ...feedbackRows,
  ...postgresQueueRows,
  ...keepAliveRows,
  rollingUpgradeRow,
  nemesisRow,
]
