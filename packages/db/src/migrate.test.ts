import { cp, readFile, writeFile } from 'node:fs/promises'
import { createDatabase, withClient } from '@tidings/stack/servers/postgres'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { MIGRATIONS_FOLDER, migrateDatabase } from './migrate.ts'

const USER = '018f2f6a-0000-7000-8000-000000000000'
const journalSchema = z.looseObject({ entries: z.array(z.looseObject({ tag: z.string() })) })

describe('the migration to partitions', () => {
  const releaser = useReleaser()

  /** A folder with the migrations before the one that has this tag. */
  async function migrationsBefore(tag: string): Promise<string> {
    const folder = await makeTestFolder(releaser)
    await cp(MIGRATIONS_FOLDER, folder, { recursive: true })
    const path = `${folder}/meta/_journal.json`
    const journal = journalSchema.parse(JSON.parse(await readFile(path, 'utf8')))
    const end = journal.entries.findIndex((entry) => entry.tag === tag)
    await writeFile(path, JSON.stringify({ ...journal, entries: journal.entries.slice(0, end) }))
    return folder
  }

  it('keeps every row, in the partition of its month, and its key', async () => {
    const { postgresAdminUrl } = inject('servers')
    const name = 'migrated_to_partitions'
    await createDatabase(postgresAdminUrl, name)
    releaser.onRelease(() =>
      withClient(postgresAdminUrl, async (client) => void (await client.query(`DROP DATABASE ${name}`))),
    )
    const url = Object.assign(new URL(postgresAdminUrl), { pathname: `/${name}` }).href
    const folder = await migrationsBefore('0003_partitions')
    await withClient(url, async (client) => {
      await migrate(drizzle({ client }), { migrationsFolder: folder })
      await client.query(
        `INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')`,
        [USER],
      )
      // The last instant and the first one of a month, an impossible time, and a row with all columns.
      await client.query(
        `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status, attempt,
           notification_id, source, error, error_code, error_class, event_id, content_hash, provider,
           provider_message_id, category, recipient_digest, metadata)
         SELECT gen_random_uuid(), $1, now(), at::timestamptz, 'email', 'failed', 2, 'n-' || at, 'test', 'no', 'E', 'permanent',
           'key', '\\x01', 'p', 'm', 'news', '\\x02', '{"a": 1}'
         FROM unnest('{2026-05-31T23:59:59.999Z,2026-06-01T00:00:00Z,2026-06-15T00:00:00Z,1971-01-01T00:00:00Z}'::text[]) AS at`,
        [USER],
      )
      const read = async () =>
        (await client.query('SELECT * FROM notification_status ORDER BY received_at')).rows
      const before = await read()

      await migrateDatabase(url)

      expect(await read()).toEqual(before)
      const { rows: places } = await client.query(
        `SELECT tableoid::regclass::text AS partition, count(*)::int AS rows FROM notification_status GROUP BY 1 ORDER BY 1`,
      )
      expect(places).toEqual([
        { partition: 'notification_status_2026_05', rows: 1 },
        { partition: 'notification_status_2026_06', rows: 2 },
        { partition: 'notification_status_default', rows: 1 },
      ])
      const { rows: keys } = await client.query(
        'SELECT id, received_at, content_hash FROM event_keys ORDER BY received_at',
      )
      expect(keys).toEqual(
        before.map(({ id, received_at, content_hash }) => ({ id, received_at, content_hash })),
      )
      // Erasing the user still clears the rows.
      await client.query('DELETE FROM users')
      expect((await read()).map(({ user_id }) => user_id)).toEqual([null, null, null, null])
    })
  })
})
