import { countOutboxEvents } from '@tidings/db/events/event-outbox'
import { addIngestCounts } from '@tidings/db/events/ingest-counters'
import { type PartitionHealth, readPartitionHealth } from '@tidings/db/events/partitions'
import { readSchemaVersion } from '@tidings/db/schema-version'
import { countPendingMessages, type PendingMessages } from '@tidings/db/users/outbound-messages'
import type { CliContext } from '../../context.ts'
import { formatAge, formatCount } from '../../terminal/format.ts'
import { type CheckResult, failure, ok, warning } from './check-result.ts'
import { findWriteProblem } from './find-write-problem.ts'

/** An outbound message that waits longer than this shows that no worker relays, in milliseconds. */
const OLD_MESSAGE_MS = 180_000

export const SCHEMA = 'Schema'
const PARTITIONS = 'Partitions'

/** Looks at PostgreSQL, its schema, and the tables that workers empty or keep in shape. */
export async function checkPostgres(context: CliContext): Promise<CheckResult[]> {
  const db = await context.database()
  const { rows } = await db.pool.query<{ version: string; read_only: string }>(
    "SELECT current_setting('server_version') AS version, current_setting('transaction_read_only') AS read_only",
  )
  const server = rows[0]
  const { applied, known } = await readSchemaVersion(db)
  const isBehind = applied < known
  const version = server?.version ?? 'unknown'
  const isReadOnly = server?.read_only === 'on'
  const problem =
    isBehind || isReadOnly
      ? undefined
      : await findWriteProblem(context, () => addIngestCounts(db, { accepted: 0 }))
  return [
    isReadOnly
      ? failure('PostgreSQL', `${version}, read-only`, 'Point DATABASE_URL at the primary.')
      : problem !== undefined
        ? failure('PostgreSQL', `${version}, takes no writes: ${problem}`, 'Jobs wait until it does.')
        : ok('PostgreSQL', version),
    isBehind
      ? failure(SCHEMA, `${applied} of ${known} migrations`, 'Run pnpm db:migrate.')
      : applied > known
        ? warning(SCHEMA, `${applied} migrations, this version knows ${known}`, 'Update this installation.')
        : ok(SCHEMA, `${applied} migrations, up to date`),
    ...(isBehind
      ? []
      : [
          checkOutbox(await countOutboxEvents(db)),
          checkOutbound(await countPendingMessages(db)),
          checkPartitions(await readPartitionHealth(db, new Date())),
        ]),
  ]
}

function checkOutbox(waiting: number): CheckResult {
  if (waiting === 0) return ok('Outbox', '0')
  const advice = 'The worker publishes them when Redis is back. Is it running?'
  return warning('Outbox', formatCount(waiting), advice)
}

function checkOutbound({ pending, oldestAt }: PendingMessages): CheckResult {
  const check = 'Outbound messages'
  if (oldestAt === undefined) return ok(check, '0 pending')
  const found = `${formatCount(pending)} pending, oldest ${formatAge(oldestAt.toISOString())}`
  if (Date.now() - oldestAt.getTime() <= OLD_MESSAGE_MS) return ok(check, found)
  return warning(check, found, 'The worker puts them on the queue. Is it running? Look at its log.')
}

function checkPartitions({ missing, hasDefaultRows }: PartitionHealth): CheckResult {
  if (missing.length > 0)
    return warning(
      PARTITIONS,
      `none for ${missing.join(' and ')}`,
      'A worker creates it. Is one running, and does its PostgreSQL user own notification_status?',
    )
  if (hasDefaultRows)
    return warning(
      PARTITIONS,
      'rows in notification_status_default',
      'Their time of receipt is in no month that has a partition. See docs/keeping-and-deleting-data.md.',
    )
  return ok(PARTITIONS, 'this month and the next')
}
