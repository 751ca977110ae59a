import { execFile } from 'node:child_process'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createDatabase, withClient } from '@tidings/stack/servers/postgres'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { describe, expect, inject, it } from 'vitest'
import { ADVISORY_LOCK, MIGRATIONS_FOLDER, migrateDatabase } from './migrate.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

it.for([
  [
    'is away',
    'postgres://tidings:canary@127.0.0.1:1/tidings',
    /^The database was not migrated: .*ECONNREFUSED/,
  ],
  ['refuses the password', undefined, /^The database was not migrated: password authentication failed/],
] as const)('the program says in one line that PostgreSQL %s', async ([, url, message]) => {
  const refusing = new URL(inject('servers').postgresAdminUrl)
  refusing.password = 'canary'
  const env = { PATH: process.env.PATH, DATABASE_URL: url ?? refusing.href }
  const failure = promisify(execFile)(process.execPath, [MAIN], { env })
  const { stderr } = (await failure.catch((error: unknown) => error)) as { stderr: string }
  expect(stderr).toMatch(message)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(stderr).not.toContain('canary')
})

it('the limits of the user end no migration, and a search path that begins elsewhere is refused first', async () => {
  const { postgresAdminUrl } = inject('servers')
  const [user, name] = [`limited_${process.pid}`, `of_limited_${process.pid}`]
  await withClient(postgresAdminUrl, async (admin) => {
    await admin.query(`CREATE ROLE ${user} LOGIN PASSWORD 'own'`)
    await admin.query(`CREATE DATABASE ${name} OWNER ${user}`)
    try {
      for (const limit of ['statement_timeout', 'idle_in_transaction_session_timeout'])
        await admin.query(`ALTER ROLE ${user} SET ${limit} = '1s'`)
      const target = { pathname: `/${name}`, username: user, password: 'own' }
      const url = Object.assign(new URL(postgresAdminUrl), target)
      const ofOther = Object.assign(new URL(postgresAdminUrl), { pathname: `/${name}` })
      await withClient(ofOther.href, async (other) => {
        await other.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK])
        const migration = migrateDatabase(url.href)
        await waitFor('a migration that waits for longer than its limit', async () => {
          const { rows } = await admin.query(
            "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'advisory' AND query_start < clock_timestamp() - interval '2s'",
            [user],
          )
          return rows.length === 1
        })
        await other.query('SELECT pg_advisory_unlock($1)', [ADVISORY_LOCK])
        await migration
      })
      await admin.query(`ALTER ROLE ${user} SET search_path = "$user", public`)
      await withClient(url.href, (client) => client.query(`SET statement_timeout = 0; CREATE SCHEMA ${user}`))
      await expect(migrateDatabase(url.href)).rejects.toThrow(`new tables of this user go to ${user}`)
    } finally {
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
      await admin.query(`DROP ROLE ${user}`)
    }
  })
})

describe('migrations of a database with data', () => {
  const releaser = useReleaser()

  /** Creates a database with the first `count` migrations. */
  async function createOldDatabase(name: string, count: number): Promise<string> {
    const { postgresAdminUrl } = inject('servers')
    await createDatabase(postgresAdminUrl, name)
    releaser.onRelease(async () => {
      await withClient(postgresAdminUrl, (client) => client.query(`DROP DATABASE ${name}`))
    })
    const url = Object.assign(new URL(postgresAdminUrl), { pathname: `/${name}` }).href
    const folder = await makeTestFolder(releaser)
    await cp(MIGRATIONS_FOLDER, folder, { recursive: true })
    const path = join(folder, 'meta/_journal.json')
    const journal = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify({ ...journal, entries: journal.entries.slice(0, count) }))
    await withClient(url, (client) => migrate(drizzle({ client }), { migrationsFolder: folder }))
    return url
  }

  it('make each token the device default of the user who changed last', async () => {
    const url = await createOldDatabase(`old_${process.pid}`, 2)
    const idOf = (n: number) => `00000000-0000-4000-8000-00000000000${n}`
    const long = 'é'.repeat(4096)
    const rows: [number, string | null, string][] = [
      [1, 'own', '2026-01-01'],
      [2, 'shared', '2026-01-02'],
      [3, 'shared', '2026-01-03'],
      [4, null, '2026-01-04'],
      [5, '', '2026-01-05'],
      [6, long, '2026-01-06'],
      // Equally old: the smaller id.
      [7, 'tied', '2026-01-07'],
      [8, 'tied', '2026-01-07'],
    ]
    await withClient(url, async (client) => {
      for (const [n, token, day] of rows)
        await client.query(
          "INSERT INTO users (id, email, name, password, push_token, updated_at) VALUES ($1, $2, 'N', '!', $3, $4)",
          [idOf(n), `${n}@example.com`, token, `${day}T00:00:00Z`],
        )
    })
    await migrateDatabase(url)
    await migrateDatabase(url)
    await withClient(url, async (client) => {
      const devices = await client.query(
        `SELECT user_id, device_id, platform, token, token_digest = sha256(convert_to(token, 'UTF8')) AS "isDigest",
           last_seen_at FROM devices ORDER BY user_id`,
      )
      const device = (n: number, token: string) => ({
        user_id: idOf(n),
        device_id: 'default',
        platform: null,
        token,
        isDigest: true,
        last_seen_at: new Date(`2026-01-0${n}T00:00:00Z`),
      })
      expect(devices.rows).toEqual([
        device(1, 'own'),
        device(3, 'shared'),
        device(6, long),
        device(7, 'tied'),
      ])
      const users = await client.query("SELECT count(*)::int, min(to_jsonb(u)->>'push_token') FROM users u")
      expect(users.rows).toEqual([{ count: 8, min: null }])
    })
  })

  it('keep every row, in the partition of its month, with its key, and count it', async () => {
    const url = await createOldDatabase(`unpartitioned_${process.pid}`, 3)
    await withClient(url, async (client) => {
      await client.query(
        `INSERT INTO users (id, email, name, password) VALUES (gen_random_uuid(), 'a@example.com', 'A', '!')`,
      )
      // The last instant and the first one of a month, an impossible time, an imported log; all columns have a value.
      await client.query(
        `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status, attempt,
           notification_id, source, error, error_code, error_class, event_id, content_hash, provider,
           provider_message_id, metadata)
         SELECT gen_random_uuid(), u.id, now(), at, 'email', 'failed', 2, 'n-' || at, source, 'no', 'E', 'permanent',
           'key', '\\x01', 'p', 'm', '{"a": 1}'
         FROM users u, (VALUES ('2026-05-31T23:59:59.999Z'::timestamptz, 'test'), ('2026-06-01T00:00:00Z', 'test'),
           ('2026-06-15T00:00:00Z', 'test'), ('2026-06-15T00:59:00Z', 'test'), ('2026-06-15T00:00:01Z', 'django'),
           ('1971-01-01T00:00:00Z', 'test')) AS event(at, source)`,
      )
      const read = async () =>
        (await client.query('SELECT * FROM notification_status ORDER BY received_at')).rows
      const before = await read()

      await migrateDatabase(url)
      await migrateDatabase(url)

      expect(await read()).toEqual(before.map((row) => ({ ...row, category: null, recipient_digest: null })))
      const { rows: places } = await client.query(
        `SELECT tableoid::regclass::text AS partition, count(*)::int AS rows FROM notification_status GROUP BY 1 ORDER BY 1`,
      )
      expect(places).toEqual([
        { partition: 'notification_status_2026_05', rows: 1 },
        { partition: 'notification_status_2026_06', rows: 4 },
        { partition: 'notification_status_default', rows: 1 },
      ])
      const { rows: keys } = await client.query(
        'SELECT id, received_at, content_hash FROM event_keys ORDER BY received_at',
      )
      expect(keys).toEqual(
        before.map(({ id, received_at, content_hash }) => ({ id, received_at, content_hash })),
      )
      const { rows: counts } = await client.query(
        `SELECT hour, source, provider, category, error_class, count::int FROM status_counts ORDER BY hour DESC LIMIT 2`,
      )
      const group = { source: 'test', provider: 'p', category: '', error_class: 'permanent' }
      expect(counts).toEqual([
        { ...group, hour: new Date('2026-06-15T00:00:00Z'), count: 2 },
        { ...group, hour: new Date('2026-06-01T00:00:00Z'), count: 1 },
      ])
      // Erasing the user still clears the rows.
      await client.query('DELETE FROM users')
      expect(new Set((await read()).map(({ user_id }) => user_id))).toEqual(new Set([null]))
    })
  })
})
