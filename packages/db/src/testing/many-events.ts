import pg from 'pg'

/** What the rows of fillWithEvents hold, by their number. */
const ROWS = `
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, CASE WHEN n % 5 > 0 THEN md5('user' || n % 20000)::uuid END,
  timestamptz '2026-01-01T00:00:00Z' + n * interval '2500 ms',
  timestamptz '2026-01-01T00:00:01Z' + n * interval '2500 ms',
  (CASE WHEN n % 4 > 0 THEN 'email' ELSE 'push' END)::notification_type,
  (CASE WHEN n % 50 = 0 THEN 'bounced' ELSE (ARRAY['sent', 'delivered', 'opened'])[n % 3 + 1] END)::notification_status_name,
  'order-' || n / 3, (ARRAY['email-service', 'push-service', 'imports'])[n % 3 + 1],
  CASE WHEN n % 50 = 0 THEN 'Refused.' END, CASE WHEN n % 50 = 0 THEN (ARRAY['550', '552', 'unregistered'])[n % 3 + 1] END,
  CASE WHEN n % 5 > 0 THEN 'ses' END, CASE WHEN n % 5 > 0 THEN 'message-' || n / 3 END,
  CASE WHEN n % 2 > 0 THEN sha256(convert_to('recipient' || n % 50000, 'UTF8')) END
FROM generate_series(1, $1::int) AS n`

/** Values that some rows of fillWithEvents have. */
export const SOME_ROW = {
  notificationId: 'order-1234',
  providerMessageId: 'message-1234',
  /** sha256('recipient4321') */
  recipientText: 'recipient4321',
  userText: 'user4321',
} as const

/**
 * Inserts rows in one statement, without checking that the users exist, and counts them for the planner. Indexes are
 * made afterwards, which takes a fraction of the time.
 */
export async function fillWithEvents(url: string, rows: number): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`BEGIN; SET LOCAL statement_timeout = '120s'; SET LOCAL session_replication_role = replica;
      SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL synchronous_commit = off`)
    await client.query(`CREATE TABLE notification_status_2026_01 PARTITION OF notification_status
      FOR VALUES FROM ('2026-01-01T00:00:00Z') TO ('2026-02-01T00:00:00Z')`)
    const { rows: indexes } = await client.query<{ name: string; statement: string }>(
      `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS statement FROM pg_index
       WHERE indrelid = 'notification_status'::regclass AND NOT indisprimary`,
    )
    for (const { name } of indexes) await client.query(`DROP INDEX ${name}`)
    const columns = `id, user_id, "timestamp", received_at, notification_type, status, notification_id, source, error,
      error_code, provider, provider_message_id, recipient_digest`
    await client.query(`INSERT INTO notification_status (${columns}) ${ROWS}`, [rows])
    // ONLY, as a partitioned table has it, would leave the partitions without the index.
    for (const { statement } of indexes) await client.query(statement.replace(' ON ONLY ', ' ON '))
    // Not the empty partitions: PostgreSQL would plan to read them from end to end. Autovacuum leaves them out, too.
    await client.query('ANALYZE notification_status_2026_01; COMMIT')
    // Autovacuum would do so some time later, and the plans change with it.
    await client.query('VACUUM notification_status_2026_01')
  } finally {
    await client.end()
  }
}
