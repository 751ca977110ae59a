import { userDigest } from '../users/erased-users.ts'

/* The statements of UserImport. */

export const STAGE = `
CREATE TEMP TABLE django_user (
  id uuid PRIMARY KEY, email text, name text, password text, push_token text, email_notifications boolean,
  push_notifications boolean, is_active boolean, is_staff boolean, last_login_at timestamptz(3),
  created_at timestamptz(3), updated_at timestamptz(3), hash_iterations int, verdict text
);
CREATE TEMP TABLE django_preference (user_id uuid PRIMARY KEY, email boolean, push boolean);
`

export const STAGE_USERS = `
INSERT INTO django_user SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
  $6::boolean[], $7::boolean[], $8::boolean[], $9::boolean[], $10::timestamptz[], $11::timestamptz[],
  $12::timestamptz[], $13::int[]) ON CONFLICT DO NOTHING`

export const STAGE_PREFERENCES = `
INSERT INTO django_preference SELECT * FROM unnest($1::uuid[], $2::boolean[], $3::boolean[])
ON CONFLICT DO NOTHING`

const EMAIL_TAKEN = 'EXISTS (SELECT 1 FROM users u WHERE lower(u.email) = lower(d.email) AND u.id <> d.id)'

// A user who exists here is updated unless the row here is newer. updated_at alone does not decide. Both services
// strengthen a password hash without changing it, so another hash is no change. Django keeps preferences in a table
// without a time, so other preferences are a change also when updated_at is equal.
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

export const CLASSIFY_USERS = `
UPDATE django_user d SET email_notifications = p.email, push_notifications = p.push
FROM django_preference p WHERE p.user_id = d.id;
CREATE INDEX ON django_user (lower(email));
ANALYZE django_user;
UPDATE django_user d SET verdict = ${VERDICT};
CREATE INDEX ON django_user (verdict, id);
`

export const COUNT = `
SELECT count(*)::int AS "found",
  (count(*) FILTER (WHERE verdict = 'importable'))::int AS "importable",
  (count(*) FILTER (WHERE verdict = 'changed'))::int AS "changed",
  (count(*) FILTER (WHERE verdict = 'already_there'))::int AS "alreadyThere",
  (count(*) FILTER (WHERE verdict = 'case_duplicate'))::int AS "caseDuplicates",
  (count(*) FILTER (WHERE verdict = 'erased'))::int AS "erased",
  (count(*) FILTER (WHERE verdict = 'email_taken'))::int AS "emailTaken",
  (count(*) FILTER (WHERE NOT is_active))::int AS "inactive",
  (count(*) FILTER (WHERE is_staff))::int AS "staff",
  (count(*) FILTER (WHERE hash_iterations IS NULL))::int AS "unusablePasswords",
  coalesce(max(hash_iterations), 0) AS "maxIterations"
FROM django_user`

// A user who registered here since the classification stays unchanged. This statement meets the row but cannot see it,
// therefore CLASSIFY_AGAIN gives the new verdict.
export const IMPORT_USERS = `
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

// A user who gets another password is logged out, as by changePassword: whoever knew the old one may have logged in. A
// hash that Django only strengthened looks the same. now() is the same for the whole statement, so it marks these users.
export const UPDATE_USERS = `
WITH batch AS (
  SELECT * FROM django_user WHERE verdict = 'changed' ORDER BY id LIMIT $1
), updated AS (
  UPDATE users u SET email = b.email, name = b.name, push_token = b.push_token,
    password = CASE WHEN b.updated_at > u.updated_at THEN b.password ELSE u.password END,
    legacy_tokens_ended_at = CASE WHEN b.updated_at > u.updated_at AND b.password <> u.password
      THEN now()::timestamptz(3) ELSE u.legacy_tokens_ended_at END,
    email_notifications = b.email_notifications, push_notifications = b.push_notifications,
    is_active = b.is_active, last_login_at = greatest(u.last_login_at, b.last_login_at), updated_at = b.updated_at
  FROM batch b WHERE u.id = b.id AND u.updated_at <= b.updated_at RETURNING u.id, u.legacy_tokens_ended_at
), ended AS (
  UPDATE sessions s SET revoked_at = now() FROM updated u
  WHERE s.user_id = u.id AND s.revoked_at IS NULL AND u.legacy_tokens_ended_at = now()::timestamptz(3)
)
UPDATE django_user d SET verdict = CASE WHEN u.id IS NULL THEN 'raced' ELSE 'updated' END
FROM batch b LEFT JOIN updated u ON u.id = b.id WHERE d.id = b.id
RETURNING d.verdict`

export const CLASSIFY_AGAIN = `UPDATE django_user d SET verdict = ${VERDICT} WHERE verdict = 'raced' RETURNING d.verdict`

// Another user took the address since the classification.
export const MARK_TAKEN = `
UPDATE django_user d SET verdict = 'email_taken' WHERE verdict = 'changed'
  AND ${EMAIL_TAKEN}
RETURNING d.verdict`

const LOGS = `SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::notification_type[],
  $5::notification_status_name[], $6::text[], $7::timestamptz[])
  AS l(id, notification_id, user_id, notification_type, status, error, "timestamp")`

// A log older than the deduplication window has lost its key: its notification has the row. LIMIT makes PostgreSQL look
// into the index, whatever it knows of new partitions.
const IS_THERE = `(EXISTS (SELECT 1 FROM event_keys k WHERE k.id = l.id) OR coalesce((
    SELECT true FROM notification_status s
    WHERE s.notification_id = l.notification_id AND s.notification_type = l.notification_type AND s.id = l.id
    LIMIT 1), false))`

// In a dry run no user is imported yet, therefore an importable one counts as known.
export const CLASSIFY_LOGS = `
SELECT l.id, ${IS_THERE} AS "alreadyThere",
  l.user_id IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id)
    OR EXISTS (SELECT 1 FROM django_user d WHERE d.id = l.user_id AND d.verdict = 'importable') AS "known"
FROM (${LOGS}) l`

// The key decides what is new, as when an event is stored.
export const IMPORT_LOGS = `
WITH log AS (
  SELECT * FROM (${LOGS}) l
  WHERE (l.user_id IS NULL OR EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id)) AND NOT ${IS_THERE}
), new_key AS (
  INSERT INTO event_keys (id, received_at) SELECT id, "timestamp" FROM log ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO notification_status (id, notification_id, user_id, notification_type, status, error, "timestamp",
  received_at, source)
SELECT id, notification_id, user_id, notification_type, status, error, "timestamp", "timestamp", 'django'
FROM log WHERE id IN (SELECT id FROM new_key)`
