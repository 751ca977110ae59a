import { MAX_DEVICES } from '@tidings/shared/device'
import { userDigest } from '../users/erased-users.ts'

/* The statements of UserImport. */

export const STAGE = `
CREATE TEMP TABLE django_user (
  id uuid PRIMARY KEY, email text, name text, password text, push_token text, email_notifications boolean,
  push_notifications boolean, is_active boolean, is_staff boolean, last_login_at timestamptz(3),
  created_at timestamptz(3), updated_at timestamptz(3), hash_iterations int, password_kind text,
  verdict text,
  replaces uuid, lost_token boolean NOT NULL DEFAULT false
);
CREATE TEMP TABLE django_preference (user_id uuid PRIMARY KEY, email boolean, push boolean);
`

export const STAGE_USERS = `
INSERT INTO django_user SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
  $6::boolean[], $7::boolean[], $8::boolean[], $9::boolean[], $10::timestamptz[], $11::timestamptz[],
  $12::timestamptz[], $13::int[], $14::text[]) ON CONFLICT DO NOTHING`

export const STAGE_PREFERENCES = `
INSERT INTO django_preference SELECT * FROM unnest($1::uuid[], $2::boolean[], $3::boolean[])
ON CONFLICT DO NOTHING`

const HOLDS_EMAIL = 'lower(u.email) = lower(d.email) AND u.id <> d.id'

// Whoever registered here with an address, and never proved to receive mail there, does not keep it from its owner. A
// user of the other system was not registered here.
const IS_REPLACEABLE =
  'u.email_verified_at IS NULL AND NOT EXISTS (SELECT 1 FROM django_user o WHERE o.id = u.id)'

const EMAIL_TAKEN = `EXISTS (SELECT 1 FROM users u WHERE ${HOLDS_EMAIL} AND NOT (${IS_REPLACEABLE}))`

const REPLACED = `(SELECT u.id FROM users u WHERE ${HOLDS_EMAIL} AND ${IS_REPLACEABLE})`

const TOKEN_DIGEST = "sha256(convert_to(d.push_token, 'UTF8'))"

// A user who exists here is updated unless the row here is newer. updated_at alone does not decide. Both services
// strengthen a password hash without changing it, so another hash is no change. Django keeps preferences in a table
// without a time, so other preferences are a change also when updated_at is equal.
const VERDICT = `CASE
  WHEN EXISTS (
    SELECT 1 FROM users u WHERE u.id = d.id AND (
      u.updated_at > d.updated_at OR (u.updated_at = d.updated_at
        AND (u.email, u.name, u.email_notifications, u.push_notifications, u.is_active)
          IS NOT DISTINCT FROM (d.email, d.name, d.email_notifications, d.push_notifications, d.is_active)))
  ) THEN 'already_there'
  WHEN EXISTS (SELECT 1 FROM erased_users e WHERE e.user_digest = ${userDigest('d.id')})
    AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = d.id) THEN 'erased'
  WHEN EXISTS (SELECT 1 FROM django_user o WHERE lower(o.email) = lower(d.email) AND o.id <> d.id)
    THEN 'case_duplicate'
  WHEN ${EMAIL_TAKEN} THEN 'email_taken'
  WHEN EXISTS (SELECT 1 FROM users u WHERE u.id = d.id) THEN 'changed'
  ELSE 'importable' END`

const CLASSIFY = `UPDATE django_user d SET verdict = ${VERDICT}, replaces = ${REPLACED}`

// A token belongs to one user at a time: of the written users to the one that changed last, and not to them while a
// device here was seen later.
export const CLASSIFY_USERS = `
UPDATE django_user d SET email_notifications = p.email, push_notifications = p.push
FROM django_preference p WHERE p.user_id = d.id;
CREATE INDEX ON django_user (lower(email));
ANALYZE django_user;
${CLASSIFY};
CREATE INDEX ON django_user (verdict, id);
UPDATE django_user d SET lost_token = true FROM (
  SELECT id, row_number() OVER (PARTITION BY push_token ORDER BY updated_at DESC, id) AS place
  FROM django_user WHERE push_token IS NOT NULL AND verdict IN ('importable', 'changed')
) p WHERE p.id = d.id AND (p.place > 1 OR EXISTS (
  SELECT 1 FROM devices x WHERE x.token_digest = ${TOKEN_DIGEST} AND x.user_id <> d.id
    AND x.user_id IS DISTINCT FROM d.replaces AND x.last_seen_at >= d.updated_at));
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
  coalesce(max(hash_iterations), 0) AS "maxIterations"
FROM django_user`

export const COUNT_PASSWORDS = `
SELECT password_kind AS "kind", count(*)::int AS "count" FROM django_user GROUP BY password_kind`
export const PICK_BATCH = 'SELECT id FROM django_user WHERE verdict = $1 ORDER BY id LIMIT $2'

export const LIST_REPLACED =
  'SELECT id, replaces, email FROM django_user WHERE id = ANY($1::uuid[]) AND replaces IS NOT NULL'

export const KEEP_REPLACED = 'UPDATE django_user SET replaces = NULL WHERE id = $1'

// In the order of lockForToken: the users of the batch, and those who have one of its tokens.
export const LOCK_USERS = `
SELECT u.id FROM users u WHERE u.id IN (
  SELECT unnest($1::uuid[]) UNION
  SELECT x.user_id FROM django_user d JOIN devices x ON x.token_digest = ${TOKEN_DIGEST}
  WHERE d.id = ANY($1::uuid[])
) ORDER BY u.id FOR NO KEY UPDATE`

// A user who registered here since the classification stays unchanged. This statement meets the row but cannot see it,
// therefore CLASSIFY_AGAIN gives the new verdict. The other system knew the address since the user was created there.
export const IMPORT_USERS = `
WITH batch AS (
  SELECT * FROM django_user WHERE id = ANY($1::uuid[])
), imported AS (
  INSERT INTO users (id, email, email_verified_at, name, password, email_notifications, push_notifications,
    is_active, last_login_at, created_at, updated_at)
  SELECT id, email, created_at, name, password, email_notifications, push_notifications, is_active, last_login_at,
    created_at, updated_at FROM batch
  ON CONFLICT DO NOTHING RETURNING id
)
UPDATE django_user d SET verdict = CASE WHEN i.id IS NULL THEN 'raced' ELSE 'imported' END
FROM batch b LEFT JOIN imported i ON i.id = b.id WHERE d.id = b.id
RETURNING d.verdict`

// A user who gets another password is logged out, as by setPassword: whoever knew the old one may have logged in. A hash
// that Django only strengthened looks the same. now() is the same for the whole transaction, so it marks these users.
export const UPDATE_USERS = `
WITH batch AS (
  SELECT * FROM django_user WHERE id = ANY($1::uuid[])
), updated AS (
  UPDATE users u SET email = b.email, name = b.name,
    email_verified_at = CASE WHEN lower(u.email) <> lower(b.email) THEN b.updated_at
      ELSE coalesce(u.email_verified_at, b.created_at) END,
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

export const LIST_NEW_PASSWORDS =
  'SELECT id FROM users WHERE id = ANY($1::uuid[]) AND legacy_tokens_ended_at = now()::timestamptz(3)'

const WRITTEN = "d.id = ANY($1::uuid[]) AND d.verdict IN ('imported', 'updated')"

/** Writes the devices `default` of a batch that was just written, in its transaction. */
export const WRITE_DEVICES = [
  // A device that was seen here after the change in Django stays.
  `DELETE FROM devices x USING django_user d WHERE ${WRITTEN} AND x.user_id = d.id AND x.device_id = 'default'
    AND x.last_seen_at <= d.updated_at AND x.token IS DISTINCT FROM d.push_token`,
  `DELETE FROM devices x USING django_user d WHERE ${WRITTEN} AND NOT d.lost_token
    AND x.token_digest = ${TOKEN_DIGEST} AND x.user_id <> d.id AND x.last_seen_at < d.updated_at`,
  `INSERT INTO devices (user_id, device_id, token, token_digest, created_at, last_seen_at)
  SELECT d.id, 'default', d.push_token, ${TOKEN_DIGEST}, d.updated_at, d.updated_at FROM django_user d
  WHERE ${WRITTEN} AND d.push_token IS NOT NULL AND NOT d.lost_token
    AND (SELECT count(*) FROM devices x WHERE x.user_id = d.id) < ${MAX_DEVICES}
  ON CONFLICT DO NOTHING`,
  `UPDATE django_user d SET lost_token = true WHERE ${WRITTEN} AND EXISTS (
    SELECT 1 FROM devices x WHERE x.token_digest = ${TOKEN_DIGEST} AND x.user_id <> d.id)`,
]

export const CLASSIFY_AGAIN = `${CLASSIFY} WHERE verdict = 'raced' RETURNING d.verdict`

// Another user took the address since the classification.
export const MARK_TAKEN = `
UPDATE django_user d SET verdict = 'email_taken' WHERE verdict = 'changed'
  AND ${EMAIL_TAKEN}
RETURNING d.verdict`

export const FIND_REPLACED_AGAIN = `
UPDATE django_user d SET replaces = ${REPLACED} WHERE verdict = 'changed' AND replaces IS DISTINCT FROM ${REPLACED}
RETURNING d.id`

// In a dry run the users who would be written count.
const IS_WRITTEN = "(verdict IN ('imported', 'updated') OR ($1 AND verdict IN ('importable', 'changed')))"

export const COUNT_CONFLICTS = `
SELECT (count(*) FILTER (WHERE replaces IS NOT NULL))::int AS "replaced",
  (count(*) FILTER (WHERE lost_token))::int AS "lostTokens"
FROM django_user WHERE ${IS_WRITTEN}`

export const LIST_CONFLICTS = `
SELECT kind, id, email FROM (
  SELECT verdict AS kind, id, email FROM django_user WHERE verdict IN ('case_duplicate', 'email_taken')
  UNION ALL SELECT 'replaced', replaces, email FROM django_user WHERE replaces IS NOT NULL AND ${IS_WRITTEN}
  UNION ALL SELECT 'push_token', id, email FROM django_user WHERE lost_token AND ${IS_WRITTEN}
) c ORDER BY lower(email), kind, id LIMIT $2`

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
