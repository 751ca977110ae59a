import type { Database } from '../database.ts'

/** Source of the events that `tidings doctor --probe` sends, and name of its service key. */
export const PROBE_SOURCE = 'tidings-probe'
export const AUDIT_PROBE = 'doctor.probe'

/** What identifies the traces of one probe. Its audit rows hold it in their selector. */
export interface Probe {
  notificationId: string
  /** The dead letter of its poison event. */
  deadLetterId: string
}

/** A running probe is younger than this: its traces must stay. */
const RUNNING_PROBE = "interval '10 minutes'"

/**
 * Probes of the last week that may have left traces: they were killed, or one of their events was still in the queue
 * at the end.
 */
export async function listUnfinishedProbes(db: Database): Promise<Probe[]> {
  const { rows } = await db.pool.query<Probe>(
    `SELECT DISTINCT selector->>'notification_id' AS "notificationId", selector->>'dead_letter' AS "deadLetterId"
     FROM operator_audit probe
     WHERE action = $1 AND at BETWEEN now() - interval '7 days' AND now() - ${RUNNING_PROBE}
       AND NOT EXISTS (SELECT FROM operator_audit ended WHERE ended.action = $1 AND ended.result LIKE 'done%'
         AND ended.selector->>'run' = probe.selector->>'run')`,
    [AUDIT_PROBE],
  )
  return rows
}

/** Deletes the events of a probe, also those in the outbox. */
export async function deleteProbeEvents(db: Database, { notificationId }: Probe): Promise<void> {
  await db.pool.query("DELETE FROM event_outbox WHERE event->>'notification_id' = $1", [notificationId])
  await db.pool.query(
    `WITH event AS (
       DELETE FROM notification_status WHERE notification_id = $1 AND source = $2 RETURNING id
     )
     DELETE FROM event_keys WHERE id IN (SELECT id FROM event)`,
    [notificationId, PROBE_SOURCE],
  )
}

/** Deletes a probe's service key, and those that killed probes left. */
export async function deleteProbeKeys(db: Database, id: string | undefined): Promise<void> {
  await db.pool.query(
    `DELETE FROM service_keys WHERE name = $1 AND (id = $2::uuid OR created_at < now() - ${RUNNING_PROBE})`,
    [PROBE_SOURCE, id ?? null],
  )
}
