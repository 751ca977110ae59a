import { readFile } from 'node:fs/promises'
import { findServiceKey } from '@tidings/db/operators/service-keys'
import { hashSecret, SCOPES } from '@tidings/shared/service-key'
import {
  createTestDatabase,
  databaseVariables,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cli, createCli, linesOf } from '../../testing/cli-process.ts'

const UNKNOWN_ID = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'

describe('tidings service-keys', () => {
  const releaser = useReleaser()
  let db: TestDatabase
  let cli: Cli

  beforeAll(async () => {
    db = await createTestDatabase(releaser)
    cli = createCli({ ...databaseVariables(db), TIDINGS_OPERATOR: 'ada', QUEUE_BACKEND: 'postgres' })
  })
  beforeEach(() => query('TRUNCATE service_keys, operator_audit'))

  const query = async (sql: string) => (await db.database.pool.query(sql)).rows
  const audit = () => query('SELECT actor, action, selector, changed, result FROM operator_audit ORDER BY id')
  /** Looks a key up as the API does. */
  const find = (key: string) => findServiceKey(db.database, hashSecret(key))
  const create = (name: string, ...scopes: string[]) =>
    cli.run('service-keys', 'create', name, ...scopes.flatMap((scope) => ['--scope', scope]), '-o', 'json')
  const made = async (name: string): Promise<{ id: string; key: string }> =>
    JSON.parse((await create(name, 'status:read')).stdout)

  test('create prints a key that works, alone on stdout, and stores its digest only', async () => {
    const run = await cli.run('service-keys', 'create', 'email-service', '--scope', 'status:write:email')
    expect(run).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^Its id is [0-9a-f-]{36}\. This is the only time the key is shown\.\n$/),
    })
    const [key = ''] = linesOf(run.stdout)
    expect(run.stdout).toBe(`${key}\n`)
    expect(await find(key)).toMatchObject({
      name: 'email-service',
      scopes: ['status:write:email'],
      revokedAt: null,
    })
    const stored = JSON.stringify([await query('SELECT * FROM service_keys'), await audit()])
    expect(stored).toContain(key.slice(0, 12))
    expect(stored).not.toContain(key.slice(12))
  })

  test('create -o json prints one object, -o id the id alone', async () => {
    const run = await cli.run('service-keys', 'create', 'a', '--scope', ...SCOPES, 'dlq:read', '-o', 'json')
    const { id, key, ...rest } = JSON.parse(run.stdout)
    expect(rest).toEqual({ name: 'a', scopes: [...SCOPES] })
    expect(await find(key)).toMatchObject({ id })
    const byId = await cli.run('service-keys', 'create', 'a', '--scope', 'dlq:read', '-o', 'id')
    const ids = await query('SELECT id FROM service_keys ORDER BY id')
    expect(ids).toEqual([{ id }, { id: linesOf(byId.stdout)[0] }])
  })

  test('create takes a limit of events, and list shows it', async () => {
    const limit = (...args: string[]) =>
      cli.run('service-keys', 'create', 'a', '--scope', 'status:write:push', ...args)
    expect(await limit('--events-per-second', '500', '--burst', '2000')).toMatchObject({ exitCode: 0 })
    expect(await limit('--events-per-second', '10')).toMatchObject({ exitCode: 0 })
    const listed = JSON.parse((await cli.run('service-keys', 'list', '-o', 'json')).stdout)
    expect(listed).toMatchObject([
      { events_per_second: 500, burst: 2000 },
      { events_per_second: 10, burst: 10 },
    ])
    const lines = linesOf((await cli.run('service-keys', 'list')).stdout)
    expect(lines.map((line) => line.split('\t')[4])).toEqual(['500/s, 2,000 at once', '10/s, 10 at once'])
    expect(await audit()).toMatchObject([
      { selector: { events_per_second: 500, burst: 2000 } },
      { selector: { events_per_second: 10 } },
    ])
    for (const wrong of [
      ['--burst', '10'],
      ['--events-per-second', '0'],
      ['--events-per-second', '1.5'],
    ])
      expect(await limit(...wrong)).toMatchObject({ exitCode: 64 })
  })

  test('list shows all keys in every format, oldest first, without their text', async () => {
    const [first, second] = [await made('a'), await made('b')]
    await cli.run('service-keys', 'revoke', first.id)
    const json = await cli.run('service-keys', 'list', '-o', 'json')
    expect(JSON.parse(json.stdout)).toEqual([
      {
        id: first.id,
        name: 'a',
        prefix: first.key.slice(0, 12),
        scopes: ['status:read'],
        events_per_second: null,
        burst: null,
        created_at: expect.any(String),
        last_used_at: null,
        revoked_at: expect.any(String),
      },
      expect.objectContaining({ id: second.id, name: 'b', revoked_at: null }),
    ])
    const tsv = await cli.run('service-keys', 'list')
    expect(linesOf(tsv.stdout).map((line) => line.split('\t').slice(0, 4))).toEqual([
      [first.id, 'a', `${first.key.slice(0, 12)}…`, 'status:read'],
      [second.id, 'b', `${second.key.slice(0, 12)}…`, 'status:read'],
    ])
    const ids = await cli.run('service-keys', 'list', '-o', 'id')
    expect(linesOf(ids.stdout)).toEqual([first.id, second.id])
    const ndjson = await cli.run('service-keys', 'list', '-o', 'ndjson')
    for (const { stdout, stderr } of [json, tsv, ids, ndjson])
      for (const { key } of [first, second]) {
        expect(stdout + stderr).not.toContain(key.slice(12))
        expect(stdout + stderr).not.toContain(hashSecret(key).toString('hex'))
      }
  })

  test('a name has two live keys at most; revoking one makes room', async () => {
    const { id } = await made('a')
    await made('a')
    const third = await create('a', 'status:read')
    expect(third).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'tidings: a has two live keys already. Revoke one first: tidings service-keys list\n',
    })
    expect(await audit()).toHaveLength(2)
    expect(await create('b', 'status:read')).toMatchObject({ exitCode: 0 })
    await cli.run('service-keys', 'revoke', id)
    expect(await create('a', 'status:read')).toMatchObject({ exitCode: 0 })
  })

  test('concurrent creators of one name get two live keys at most', async () => {
    await made('a')
    const runs = await Promise.all(Array.from({ length: 6 }, () => create('a', 'status:read')))
    expect(runs.map((run) => run.exitCode).toSorted()).toEqual([0, 1, 1, 1, 1, 1])
    expect(await query('SELECT count(*)::int AS live FROM service_keys')).toEqual([{ live: 2 }])
  })

  test('invalid names and scopes are wrong usage: exit code 64', async () => {
    const wrong = [
      ['a'],
      ['a', '--scope'],
      ['a', '--scope', 'users:write'],
      ['a', '--scope', 'status:read', 'everything'],
      ['', '--scope', 'status:read'],
      ['two words', '--scope', 'status:read'],
      ['x'.repeat(65), '--scope', 'status:read'],
    ]
    for (const args of wrong) {
      const run = await cli.run('service-keys', 'create', ...args)
      expect([args, run]).toEqual([args, expect.objectContaining({ exitCode: 64, stdout: '' })])
    }
    expect(await cli.run('service-keys', 'revoke', 'a')).toMatchObject({ exitCode: 64 })
    expect(await query('SELECT * FROM service_keys')).toEqual([])
    expect(await audit()).toEqual([])
  })

  test('revoke ends a key once; an unknown or revoked one is exit code 3', async () => {
    const { id, key } = await made('a')
    expect(await cli.run('service-keys', 'revoke', id)).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: `Revoked ${id}.\n`,
    })
    expect(await find(key)).toBeUndefined()
    for (const gone of [id, UNKNOWN_ID])
      expect(await cli.run('service-keys', 'revoke', gone)).toEqual({
        exitCode: 3,
        stdout: '',
        stderr: `tidings: There is no live key ${gone}.\n`,
      })
  })

  test('each change writes a row of the audit table', async () => {
    const { id } = await made('a')
    await cli.run('service-keys', 'revoke', id)
    await cli.run('service-keys', 'revoke', id)
    expect(await audit()).toEqual([
      {
        actor: 'ada',
        action: 'service-keys.create',
        selector: { name: 'a', scopes: ['status:read'] },
        changed: 1,
        result: `created ${id}`,
      },
      {
        actor: 'ada',
        action: 'service-keys.revoke',
        selector: { id },
        changed: 1,
        result: 'revoked',
      },
    ])
  })

  test('without its audit row no key is created or revoked', async () => {
    const { id, key } = await made('a')
    await query('ALTER TABLE operator_audit RENAME TO operator_audit_away')
    try {
      const refused = await create('b', 'status:read')
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
      expect(refused.stderr).toBe('tidings: relation "operator_audit" does not exist\n')
      expect(await cli.run('service-keys', 'revoke', id)).toMatchObject({ exitCode: 1 })
    } finally {
      await query('ALTER TABLE operator_audit_away RENAME TO operator_audit')
    }
    expect(await query('SELECT name FROM service_keys')).toEqual([{ name: 'a' }])
    expect(await find(key)).toMatchObject({ id })
  })

  test('--read-only refuses to create and to revoke: exit code 2', async () => {
    const { id, key } = await made('a')
    const refused = { exitCode: 2, stdout: '', stderr: 'tidings: Nothing was changed: --read-only is set.\n' }
    expect(await cli.run('--read-only', 'service-keys', 'revoke', id)).toEqual(refused)
    expect(await cli.run('--read-only', 'service-keys', 'create', 'b', '--scope', 'status:read')).toEqual(
      refused,
    )
    expect(await find(key)).toMatchObject({ id })
    expect(await query('SELECT name FROM service_keys')).toEqual([{ name: 'a' }])
  })

  test('the commands of docs/users-and-sessions.md work, and the page lists every scope', async () => {
    const page = await readFile(new URL('../../../../../docs/users-and-sessions.md', import.meta.url), 'utf8')
    const section = page.split('\n## ').find((text) => text.startsWith('Service keys\n')) ?? ''
    const commands = [...section.matchAll(/^pnpm tidings (.+)$/gm)].map(([, command = '']) => command)
    expect(commands).toHaveLength(3)
    for (const command of commands) {
      const [{ id } = { id: '' }] = await query('SELECT id FROM service_keys')
      expect(await cli.run(...command.replace('<id>', id).split(' '))).toMatchObject({ exitCode: 0 })
    }
    expect([...section.matchAll(/^\| `([\w:]+)`/gm)].map(([, scope]) => scope)).toEqual(SCOPES)
  })
})
