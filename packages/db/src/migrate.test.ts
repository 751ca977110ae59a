import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createDatabase, withClient } from '@tidings/stack/servers/postgres'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { describe, expect, inject, it } from 'vitest'
import { MIGRATIONS_FOLDER, migrateDatabase } from './migrate.ts'

describe('the migration of push tokens to devices', () => {
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

  it('makes each token the device default of the user who changed last', async () => {
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
})
