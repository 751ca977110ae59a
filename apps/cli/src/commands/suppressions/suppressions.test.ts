import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestRecipient } from '@tidings/shared/recipient'
import {
  createTestDatabase,
  databaseVariables,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cli, createCli, linesOf } from '../../testing/cli-process.ts'

const KEY = 'the recipient key of this test'
const digestOf = (recipient: string, channel: 'email' | 'push' = 'email') =>
  digestRecipient(KEY, channel, recipient)

describe('tidings suppressions', () => {
  const releaser = useReleaser()
  let db: TestDatabase
  let cli: Cli
  let folder: string
  beforeAll(async () => {
    db = await createTestDatabase(releaser)
    const variables = {
      ...databaseVariables(db),
      TIDINGS_OPERATOR: 'ada',
      QUEUE_BACKEND: 'postgres',
      RECIPIENT_KEY: KEY,
    }
    cli = createCli(variables)
    folder = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-suppressions-')), (path) =>
      rm(path, { recursive: true }),
    )
  })
  beforeEach(() => query('TRUNCATE suppressions, categories, operator_audit'))

  const query = async (sql: string) => (await db.database.pool.query(sql)).rows
  const run = (...args: string[]) => cli.run('suppressions', ...args)
  const stored = () =>
    query(
      `SELECT channel, encode(recipient_digest, 'hex') AS digest, category, reason, origin, note, until
       FROM suppressions ORDER BY id`,
    )
  const audit = () => query('SELECT actor, action, matched, changed, result FROM operator_audit ORDER BY id')
  let files = 0
  const write = async (...lines: string[]) => {
    const path = join(folder, `${files++}.csv`)
    await writeFile(path, `${lines.join('\n')}\n`)
    return path
  }

  test.each([
    ['', 'Recipient 1 is empty'],
    [
      digestOf('ann@example.com'),
      'Recipient 1 is no e-mail address: a push token needs --channel push, a digest',
    ],
  ])('a text that is nobody is wrong usage: %j', async (recipient, message) => {
    for (const command of [['add', '--yes'], ['lift', '--yes'], ['check']]) {
      const { exitCode, stderr } = await run(...command, '--', recipient)
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 64, stderr: expect.stringContaining(message) })
    }
    expect(await stored()).toEqual([])
  })

  test.each([
    ['list', '--cursor', `1.${'-'.repeat(36)}`],
    ['add', 'ann@example.com', '--until', '99999999d', '--yes'],
  ])('%s %s %s %s is wrong usage', async (...args) => {
    expect(await run(...args)).toMatchObject({ exitCode: 64, stdout: '' })
  })

  test('add suppresses one recipient, and those of stdin or a file', async () => {
    expect(await run('add', 'Ann@example.com', '--note', 'by phone', '--yes')).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'Suppressed 1 recipient.\n',
    })
    expect(await stored()).toEqual([
      {
        channel: 'email',
        digest: digestOf('ann@example.com'),
        category: '',
        reason: 'manual',
        origin: 'ada',
        note: 'by phone',
        until: null,
      },
    ])
    const piped = await cli.pipe(
      'ann@example.com\n\nbob@example.com\nBOB@example.com\n',
      ...['suppressions', 'add', '-', '--yes', '-o', 'json'],
    )
    expect(JSON.parse(piped.stdout)).toEqual({ added: 1, present: 1 })
    const file = await write('token-1', 'token-2')
    await run('add', '--file', file, '--channel', 'push', '--reason', 'bounce', '--until', '72h', '--yes')
    expect((await stored()).slice(2)).toMatchObject(
      ['token-1', 'token-2'].map((token) => ({ digest: digestOf(token, 'push'), until: expect.any(Date) })),
    )
    expect(await audit()).toMatchObject(Array(3).fill({ actor: 'ada', action: 'suppressions.add' }))
  })

  test('changes ask first, and refuse where nobody can answer', async () => {
    for (const args of [
      ['add', 'a@example.com'],
      ['lift', 'a@example.com'],
      ['import', await write('email', 'a@example.com'), '--reason', 'manual'],
    ])
      expect(await run(...args)).toMatchObject({ exitCode: 2 })
    expect(await cli.run('--read-only', 'suppressions', 'add', 'a@example.com', '--yes')).toMatchObject({
      exitCode: 2,
    })
    const asked = await cli.runOnTerminal(['suppressions', 'add', 'a@example.com'], {
      answer: { prompt: 'Suppress 1 recipient', keys: 'n' },
    })
    expect([asked.exitCode, await stored()]).toEqual([2, []])
  })

  test('list shows digests and no addresses, in every format', async () => {
    for (const name of ['a', 'b', 'c']) await run('add', `${name}@example.com`, '--yes')
    await run('add', 'd@example.com', '--reason', 'complaint', '--yes')
    const newest = ['d', 'c', 'b', 'a'].map((name) => digestOf(`${name}@example.com`))
    expect(linesOf((await run('list', '-o', 'id')).stdout)).toEqual(newest)
    const lines = linesOf((await run('list')).stdout).map((line) => line.split('\t'))
    expect(lines[0]?.slice(0, 5)).toEqual([newest[0], 'email', 'complaint', '-', 'ada'])
    const json = await run('list', '--reason', 'manual', '-o', 'json')
    expect(JSON.parse(json.stdout)).toHaveLength(3)
    expect(json.stdout).not.toContain('example')
    const page = await run('list', '--limit', '3', '-o', 'id')
    const [, cursor = ''] = /--cursor (\S+)/.exec(page.stderr) ?? []
    expect(linesOf((await run('list', '--cursor', cursor, '-o', 'id')).stdout)).toEqual([newest[3]])
  })

  test('lift takes recipients or digests; a complaint wants --note', async () => {
    await run('add', 'a@example.com', '--yes')
    await run('add', 'a@example.com', '--reason', 'complaint', '--yes')
    expect(await run('lift', 'a@example.com', '--yes')).toEqual({
      exitCode: 64,
      stdout: '',
      stderr: 'tidings: One of them is a complaint: say why it is lifted with --note. Nothing was lifted.\n',
    })
    expect(await run('lift', 'a@example.com', '--reason', 'manual', '--yes')).toMatchObject({ exitCode: 0 })
    const byDigest = await run(
      ...['lift', digestOf('a@example.com'), '--digest', '--note', 'by mistake', '--yes', '-o', 'json'],
    )
    expect(JSON.parse(byDigest.stdout)).toEqual({ lifted: 1 })
    expect(await stored()).toEqual([])
    expect(await run('lift', 'a@example.com', '--yes')).toMatchObject({ exitCode: 3 })
    expect(await run('lift', 'no-digest', '--digest', '--yes')).toMatchObject({ exitCode: 64 })
    expect((await audit()).filter((row) => row.action === 'suppressions.lift')).toHaveLength(2)
  })

  test('check answers for each recipient, in order', async () => {
    await run('add', 'a@example.com', '--reason', 'bounce', '--yes')
    await run('add', 'b@example.com', '--reason', 'unsubscribe', '--category', 'newsletter', '--yes')
    const check = async (...args: string[]) => {
      const input = 'a@example.com\nb@example.com\n'
      return JSON.parse((await cli.pipe(input, 'suppressions', 'check', '-', '-o', 'json', ...args)).stdout)
    }
    const a = { recipient: 'a***@example.com', suppressed: true, reason: 'bounce' }
    expect(await check()).toMatchObject([a, { suppressed: false, reason: null }])
    expect(await check('--category', 'newsletter')).toMatchObject([a, { reason: 'unsubscribe' }])
    expect(await run('check')).toMatchObject({ exitCode: 64 })
    expect(await run('check', 'a@example.com', '--file', 'x')).toMatchObject({ exitCode: 64 })
  })

  describe('import', () => {
    const TIME = '2026-01-02T03:04:05.000Z'
    const imported = async (lines: string[], ...options: string[]) => {
      const result = await run('import', await write(...lines), '--yes', '-o', 'json', ...options)
      const rows = await query(
        `SELECT encode(recipient_digest, 'hex') AS digest, reason, origin, since FROM suppressions ORDER BY id`,
      )
      const names = new Map(['a', 'b', 'c', 'd', 'e'].map((name) => [digestOf(`${name}@example.com`), name]))
      return {
        ...result,
        rows: rows.map((row) => `${names.get(row.digest)} ${row.reason} ${row.since.toISOString()}`).sort(),
        origins: [...new Set(rows.map((row) => row.origin))],
      }
    }

    test.each<[string, string[], string[], string]>([
      [
        'SES',
        [
          'EmailAddress,Reason,LastUpdateTime',
          `a@example.com,BOUNCE,${TIME}`,
          `B@example.com,COMPLAINT,1767323045`,
        ],
        [`a bounce ${TIME}`, `b complaint ${TIME}`],
        'import:ses',
      ],
      [
        'SES without a heading',
        [`a@example.com,BOUNCE,${TIME}`, `"b@example.com","COMPLAINT","${TIME}"`],
        [`a bounce ${TIME}`, `b complaint ${TIME}`],
        'import:ses',
      ],
      [
        'SendGrid, bounces',
        [
          'status,reason,email,created',
          '5.1.1,"550 5.1.1, no such ""user""\nhere",a@example.com,1767323045',
          '4.2.2,mailbox full,b@example.com,1767323045',
        ],
        [`a bounce ${TIME}`],
        'import:sendgrid',
      ],
      [
        'SendGrid, spam reports',
        ['ip,email,created', '10.0.0.1,a@example.com,2026-01-02 03:04:05'],
        [`a complaint ${TIME}`],
        'import:sendgrid',
      ],
      [
        'SendGrid, unsubscribes',
        ['\uFEFFemail,created\r', 'a@example.com,1767323045\r'],
        [`a unsubscribe ${TIME}`],
        'import:sendgrid',
      ],
      [
        'Postmark',
        [
          'EmailAddress,SuppressionReason,Origin,CreatedAt',
          'a@example.com,HardBounce,Recipient,2026-01-01T22:04:05-05:00',
          'b@example.com,SpamComplaint,Recipient,2026-01-01T22:04:05-05:00',
          'c@example.com,ManualSuppression,Recipient,2026-01-01T22:04:05-05:00',
          'd@example.com,ManualSuppression,Customer,2026-01-01T22:04:05-05:00',
        ],
        [`a bounce ${TIME}`, `b complaint ${TIME}`, `c unsubscribe ${TIME}`, `d manual ${TIME}`],
        'import:postmark',
      ],
    ])('reads a file of %s', async (_whose, lines, rows, origin) => {
      const result = await imported(lines)
      expect(result).toMatchObject({ exitCode: 0, rows, origins: [origin] })
      const again = await imported(lines)
      expect(JSON.parse(again.stdout)).toMatchObject({ imported: 0, present: rows.length })
    })

    test('reads addresses with --reason', async () => {
      expect(await imported(['name,email', 'Ann,a@example.com'])).toMatchObject({ exitCode: 64, rows: [] })
      const rows = [expect.stringMatching(/^a unsubscribe/)]
      expect(await imported(['name,email', 'Ann,a@example.com'], '--reason', 'unsubscribe')).toMatchObject({
        rows,
      })
    })

    test('reports wrong lines by number and without their text, and imports the others', async () => {
      const result = await imported([
        'EmailAddress,SuppressionReason,Origin,CreatedAt',
        'a@example.com,HardBounce,Recipient,yesterday',
        'secret,HardBounce,Recipient,2026-01-01',
        'secret@example.com,Other,Recipient,2026-01-01',
        'b@example.com,HardBounce,Recipient,2026-01-02T03:04:05Z',
        '"secret@example.com,HardBounce',
        'c@example.com,HardBounce,Recipient "hand,2026-01-02T03:04:05Z',
        ...Array.from({ length: 60 }, () => 'd@example.com,HardBounce,Recipient,2026-01-02T03:04:05Z'),
        '"secret@example.com',
      ])
      expect(result).toMatchObject({
        exitCode: 5,
        rows: ['b', 'c', 'd'].map((name) => `${name} bounce ${TIME}`),
      })
      expect(linesOf(result.stderr)).toEqual([
        'Line 2 has a time that cannot be read.',
        'Line 3 has no e-mail address.',
        'Line 4 has an unknown reason.',
        'Line 6 has a quote without an end.',
        'Line 68 has a quote without an end.',
        'Imported 3; 59 already there. It is a file of postmark.',
        'tidings: 5 wrong lines were skipped.',
      ])
      expect(JSON.stringify([result, await query('SELECT * FROM operator_audit')])).not.toContain('secret')
      expect(await audit()).toMatchObject([
        { action: 'suppressions.import', result: 'started' },
        { matched: 62, changed: 3, result: expect.stringMatching(/^done/) },
      ])
    })

    test('--dry-run changes nothing; an unknown file is refused', async () => {
      const file = await write('EmailAddress,Reason', 'a@example.com,BOUNCE', 'x,BOUNCE')
      expect(await run('import', file, '--dry-run')).toEqual({
        exitCode: 5,
        stdout: '',
        stderr:
          'Line 3 has no e-mail address.\nWould import 1. It is a file of ses.\ntidings: 1 wrong lines were skipped.\n',
      })
      expect(await run('import', await write('one,two'), '--yes')).toMatchObject({ exitCode: 1 })
      expect(await run('import', join(folder, 'absent.csv'), '--yes')).toMatchObject({ exitCode: 3 })
      expect(await stored()).toEqual([])
    })

    test('brings back an export, on stdin as well', async () => {
      await run('add', 'a@example.com', '--note', 'a "note",\nof two lines', '--until', '72h', '--yes')
      await run('add', 'b@example.com', '--reason', 'unsubscribe', '--category', 'newsletter', '--yes')
      const before = await query(
        'SELECT channel, recipient_digest, category, reason, origin, note, since, until FROM suppressions ORDER BY since',
      )
      const file = join(folder, 'export.csv')
      expect(await run('export', file)).toMatchObject({ exitCode: 0 })
      const text = await readFile(file, 'utf8')
      expect(text).not.toContain('@')
      expect((await run('export')).stdout).toBe(text)
      await query('TRUNCATE suppressions')
      const result = await cli.pipe(text, 'suppressions', 'import', '-', '--yes')
      expect(result).toMatchObject({ exitCode: 0, stderr: 'Imported 2. It is a file of tidings.\n' })
      expect(
        await query(
          'SELECT channel, recipient_digest, category, reason, origin, note, since, until FROM suppressions ORDER BY since',
        ),
      ).toEqual(before)
      const other = createCli({
        ...(cli.env as Record<string, string>),
        RECIPIENT_KEY: 'another recipient key',
      })
      const refused = await other.pipe(text, 'suppressions', 'import', '-', '--yes')
      expect(refused.exitCode).toBe(1)
      expect(refused.stderr).toContain('Line 2 was exported with another RECIPIENT_KEY.')
    })
  })

  test('categories are set, listed, removed and audited', async () => {
    const categories = (...args: string[]) => cli.run('categories', ...args)
    await categories('set', 'newsletter', '--default', 'off')
    await categories('set', 'newsletter')
    await categories('set', 'receipts', '--required')
    expect(JSON.parse((await categories('list', '-o', 'json')).stdout)).toEqual([
      { key: 'newsletter', default: true, required: false },
      { key: 'receipts', default: true, required: true },
    ])
    expect(await categories('set', 'Two Words')).toMatchObject({ exitCode: 64 })
    expect(await categories('remove', 'receipts')).toMatchObject({ exitCode: 0 })
    expect(await categories('remove', 'receipts')).toMatchObject({ exitCode: 3 })
    expect((await audit()).map(({ action }) => action)).toEqual([
      ...Array(3).fill('categories.set'),
      'categories.remove',
    ])
  })
})
