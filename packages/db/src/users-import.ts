import pg from 'pg'
import { leaveErrorsToQueries } from './database.ts'
import { userDigest } from './erased-users.ts'
import { sqlState, UNIQUE_VIOLATION } from './failure.ts'

/** A user of the Django service, as it is carried over. Times are ISO 8601. */
export interface ImportedUser {
  id: string
  email: string
  name: string
  password: string
  pushToken: string | null
  emailNotifications: boolean
  pushNotifications: boolean
  isActive: boolean
  isStaff: boolean
  lastLoginAt: string | null
  createdAt: string
  updatedAt: string
}

export interface ImportedPreferences {
  userId: string
  email: boolean
  push: boolean
}

export interface ImportedStatusLog {
  id: string
  notificationId: string
  userId: string | null
  notificationType: 'email' | 'push'
  status: 'delivered' | 'pending' | 'failed'
  error: string | null
  timestamp: string
}

/** What would become of the staged users, or has. */
export interface UserImportCounts {
  found: number
  /** New here. */
  importable: number
  /** Here already under the same id, and changed in the other system since. */
  changed: number
  /** Here already under the same id, and as new or newer. */
  alreadyThere: number
  /** Share their address with another of them, whatever its case: none of these is imported. */
  caseDuplicates: number
  /** Were erased here: they do not come back. */
  erased: number
  /** Share their address with somebody else who is here. */
  emailTaken: number
  inactive: number
  staff: number
  /** Never log in with a password: `!…`, or another algorithm. */
  unusablePasswords: number
  maxIterations: number
}

/** What became of the users of one batch. */
export interface UserBatch {
  /** How many there were; 0 when none is left. */
  taken: number
  imported: number
  updated: number
  // Since they were classified somebody else took their address, or their id, or erased them here.
  emailTaken: number
  alreadyThere: number
  erased: number
}

export interface ImportConflict {
  kind: 'case_duplicate' | 'email_taken'
  id: string
  email: string
}

/** A connection with the users of another system in temporary tables: nothing else sees them. */
export interface UserImport {
  stageUsers(users: readonly ImportedUser[]): Promise<void>
  stagePreferences(preferences: readonly ImportedPreferences[]): Promise<void>
  /** Call after everything is staged; the rest depends on it. */
  classify(): Promise<UserImportCounts>
  /** Those that are not imported since their address is not theirs alone. */
  listConflicts(limit: number): Promise<ImportConflict[]>
  /** Imports up to `limit` users, whole or not at all. */
  importUsers(limit: number): Promise<UserBatch>
  /** Brings up to `limit` users up to date who changed since they were imported, whole or not at all. */
  updateUsers(limit: number): Promise<UserBatch>
  /** Imports a batch; the same again changes nothing. With `dryRun` it only says what would become of it. */
  importStatusLogs(
    logs: readonly ImportedStatusLog[],
    options: { dryRun: boolean },
  ): Promise<{ imported: number; alreadyThere: number; unknownUser: number }>
  close(): Promise<void>
}

const STAGE = `
CREATE TEMP TABLE django_user (
  id uuid PRIMARY KEY, email text, name text, password text, push_token text, email_notifications boolean,
  push_notifications boolean, is_active boolean, is_staff boolean, last_login_at timestamptz(3),
  created_at timestamptz(3), updated_at timestamptz(3), verdict text
);
CREATE TEMP TABLE django_preference (user_id uuid PRIMARY KEY, email boolean, push boolean);
`

const STAGE_USERS = `
INSERT INTO django_user SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
  $6::boolean[], $7::boolean[], $8::boolean[], $9::boolean[], $10::timestamptz[], $11::timestamptz[],
  $12::timestamptz[]) ON CONFLICT DO NOTHING`

const STAGE_PREFERENCES = `
INSERT INTO django_preference SELECT * FROM unnest($1::uuid[], $2::boolean[], $3::boolean[])
ON CONFLICT DO NOTHING`

const EMAIL_TAKEN = 'EXISTS (SELECT 1 FROM users u WHERE lower(u.email) = lower(d.email) AND u.id <> d.id)'

// Who is here is brought up to date unless the row here is newer. Both services strengthen a hash without
// touching updated_at, so a hash that differs says nothing by itself. Nor do preferences, which Django keeps in
// a table without a time, touch it: they differ when they differ.
const VERDICT = `CASE
  WHEN EXISTS (
    SELECT 1 FROM users u WHERE u.id = d.id AND (
      u.updated_at > d.updated_at OR (u.updated_at = d.updated_at
        AND (u.email, u.name, u.push_token, u.email_notifications, u.push_notifications, u.is_active)
          IS NOT DISTINCT FROM
          (d.email, d.name, d.push_token, d.email_notifications, d.push_notifications, d.is_active)))
  ) THEN 'already_there'
  WHEN EXISTS (SELECT 1 FROM erased_users e WHERE e.user_digest = ${userDigest('d.id')})
    AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = d.id) THEN 'erased'
  WHEN EXISTS (SELECT 1 FROM django_user o WHERE lower(o.email) = lower(d.email) AND o.id <> d.id)
    THEN 'case_duplicate'
  WHEN ${EMAIL_TAKEN} THEN 'email_taken'
  WHEN EXISTS (SELECT 1 FROM users u WHERE u.id = d.id) THEN 'changed'
  ELSE 'importable' END`

const CLASSIFY = `
UPDATE django_user d SET email_notifications = p.email, push_notifications = p.push
FROM django_preference p WHERE p.user_id = d.id;
CREATE INDEX ON django_user (lower(email));
ANALYZE django_user;
UPDATE django_user d SET verdict = ${VERDICT};
CREATE INDEX ON django_user (verdict, id);
`

const COUNT = `
SELECT count(*)::int AS "found",
  (count(*) FILTER (WHERE verdict = 'importable'))::int AS "importable",
  (count(*) FILTER (WHERE verdict = 'changed'))::int AS "changed",
  (count(*) FILTER (WHERE verdict = 'already_there'))::int AS "alreadyThere",
  (count(*) FILTER (WHERE verdict = 'case_duplicate'))::int AS "caseDuplicates",
  (count(*) FILTER (WHERE verdict = 'erased'))::int AS "erased",
  (count(*) FILTER (WHERE verdict = 'email_taken'))::int AS "emailTaken",
  (count(*) FILTER (WHERE NOT is_active))::int AS "inactive",
  (count(*) FILTER (WHERE is_staff))::int AS "staff",
  (count(*) FILTER (WHERE password !~ '^pbkdf2_sha256[$]'))::int AS "unusablePasswords",
  coalesce(max(substring(password FROM '^pbkdf2_sha256[$]([0-9]{1,9})[$]')::int), 0) AS "maxIterations"
FROM django_user`

// A row that was registered here in the meantime is left as it is, and judged anew by JUDGE_RACED: the
// statement that met it cannot see it.
const IMPORT_USERS = `
WITH batch AS (
  SELECT * FROM django_user WHERE verdict = 'importable' ORDER BY id LIMIT $1
), imported AS (
  INSERT INTO users (id, email, name, password, push_token, email_notifications, push_notifications, is_active,
    last_login_at, created_at, updated_at)
  SELECT id, email, name, password, push_token, email_notifications, push_notifications, is_active,
    last_login_at, created_at, updated_at FROM batch
  ON CONFLICT DO NOTHING RETURNING id
)
UPDATE django_user d SET verdict = CASE WHEN i.id IS NULL THEN 'raced' ELSE 'imported' END
FROM batch b LEFT JOIN imported i ON i.id = b.id WHERE d.id = b.id
RETURNING d.verdict`

const UPDATE_USERS = `
WITH batch AS (
  SELECT * FROM django_user WHERE verdict = 'changed' ORDER BY id LIMIT $1
), updated AS (
  UPDATE users u SET email = b.email, name = b.name, push_token = b.push_token,
    password = CASE WHEN b.updated_at > u.updated_at THEN b.password ELSE u.password END,
    email_notifications = b.email_notifications, push_notifications = b.push_notifications,
    is_active = b.is_active, last_login_at = greatest(u.last_login_at, b.last_login_at), updated_at = b.updated_at
  FROM batch b WHERE u.id = b.id AND u.updated_at <= b.updated_at RETURNING u.id
)
UPDATE django_user d SET verdict = CASE WHEN u.id IS NULL THEN 'raced' ELSE 'updated' END
FROM batch b LEFT JOIN updated u ON u.id = b.id WHERE d.id = b.id
RETURNING d.verdict`

const JUDGE_RACED = `UPDATE django_user d SET verdict = ${VERDICT} WHERE verdict = 'raced' RETURNING d.verdict`

// Of those that are still to be updated: an address went to somebody else since they were classified.
const JUDGE_TAKEN = `
UPDATE django_user d SET verdict = 'email_taken' WHERE verdict = 'changed'
  AND ${EMAIL_TAKEN}
RETURNING d.verdict`

const LOGS = `SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::notification_type[],
  $5::notification_status_name[], $6::text[], $7::timestamptz[])
  AS l(id, notification_id, user_id, notification_type, status, error, "timestamp")`

// In a dry run the users are not there yet, so those that would be count as known.
const JUDGE_LOGS = `
SELECT l.id, EXISTS (SELECT 1 FROM notification_status s WHERE s.id = l.id) AS "alreadyThere",
  l.user_id IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id)
    OR EXISTS (SELECT 1 FROM django_user d WHERE d.id = l.user_id AND d.verdict = 'importable') AS "known"
FROM (${LOGS}) l`

const IMPORT_LOGS = `
INSERT INTO notification_status (id, notification_id, user_id, notification_type, status, error, "timestamp",
  received_at, source)
SELECT l.id, l.notification_id, l.user_id, l.notification_type, l.status, l.error, l."timestamp", l."timestamp",
  'django'
FROM (${LOGS}) l WHERE l.user_id IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id)
ON CONFLICT (id) DO NOTHING`

/**
 * Opens an import on a connection of its own, without the time limits of requests: classifying a million
 * users takes longer. Closing it forgets what is staged; what is imported stays.
 */
export async function openUserImport(databaseUrl: string): Promise<UserImport> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'tidings-import' })
  leaveErrorsToQueries(client)
  await client.connect()
  try {
    await client.query(STAGE)
  } catch (error) {
    await client.end()
    throw error
  }

  async function judgeBatch(rows: Judged[]): Promise<UserBatch> {
    const settled = rows.filter(({ verdict }) => verdict !== 'raced')
    if (settled.length === rows.length) return countVerdicts(rows)
    const raced = await client.query<Judged>(JUDGE_RACED)
    return { ...countVerdicts([...settled, ...raced.rows]), taken: rows.length }
  }

  return {
    async stageUsers(users) {
      await client.query(STAGE_USERS, [
        users.map((user) => user.id),
        users.map((user) => user.email),
        users.map((user) => user.name),
        users.map((user) => user.password),
        users.map((user) => user.pushToken),
        users.map((user) => user.emailNotifications),
        users.map((user) => user.pushNotifications),
        users.map((user) => user.isActive),
        users.map((user) => user.isStaff),
        users.map((user) => user.lastLoginAt),
        users.map((user) => user.createdAt),
        users.map((user) => user.updatedAt),
      ])
    },

    async stagePreferences(preferences) {
      await client.query(STAGE_PREFERENCES, [
        preferences.map((preference) => preference.userId),
        preferences.map((preference) => preference.email),
        preferences.map((preference) => preference.push),
      ])
    },

    async classify() {
      await client.query(CLASSIFY)
      const { rows } = await client.query<UserImportCounts>(COUNT)
      const [counts] = rows
      if (counts === undefined) throw new Error('Counting gave no row')
      return counts
    },

    async listConflicts(limit) {
      const { rows } = await client.query<ImportConflict>(
        `SELECT verdict AS kind, id, email FROM django_user WHERE verdict IN ('case_duplicate', 'email_taken')
         ORDER BY lower(email), id LIMIT $1`,
        [limit],
      )
      return rows
    },

    async importUsers(limit) {
      return judgeBatch((await client.query<Judged>(IMPORT_USERS, [limit])).rows)
    },

    async updateUsers(limit) {
      try {
        return await judgeBatch((await client.query<Judged>(UPDATE_USERS, [limit])).rows)
      } catch (error) {
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error
        const { rows } = await client.query<Judged>(JUDGE_TAKEN)
        // Nobody to leave out would mean the same violation for ever.
        if (rows.length === 0) throw error
        return countVerdicts(rows)
      }
    },

    async importStatusLogs(logs, { dryRun }) {
      const values = [
        logs.map((log) => log.id),
        logs.map((log) => log.notificationId),
        logs.map((log) => log.userId),
        logs.map((log) => log.notificationType),
        logs.map((log) => log.status),
        logs.map((log) => log.error),
        logs.map((log) => log.timestamp),
      ]
      const { rows } = await client.query<{ alreadyThere: boolean; known: boolean }>(JUDGE_LOGS, values)
      const alreadyThere = rows.filter((row) => row.alreadyThere).length
      const unknownUser = rows.filter((row) => !row.alreadyThere && !row.known).length
      if (!dryRun) await client.query(IMPORT_LOGS, values)
      return { imported: rows.length - alreadyThere - unknownUser, alreadyThere, unknownUser }
    },

    // The temporary tables end with the connection.
    close: () => client.end(),
  }
}

interface Judged {
  verdict: string
}

function countVerdicts(rows: readonly Judged[]): UserBatch {
  const count = (wanted: string) => rows.filter(({ verdict }) => verdict === wanted).length
  return {
    taken: rows.length,
    imported: count('imported'),
    updated: count('updated'),
    emailTaken: count('email_taken'),
    alreadyThere: count('already_there'),
    erased: count('erased'),
  }
}
