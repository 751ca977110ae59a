import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { mintToken, useToken } from '@tidings/db/users/one-time-tokens'
import { resetPassword } from '@tidings/db/users/reset-password'
import { readPage } from '@tidings/queue/testing/dead-letter-fixtures'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'
import { type Cli, createCli, linesOf } from '../../testing/cli-process.ts'

const ADA = '0199aaaa-0000-7000-8000-00000000000a'
const BOB = '0199aaaa-0000-7000-8000-00000000000b'
const GOOD_PASSWORD = 'another long passphrase 9 words'
const CTRL_C = '\u0003'
/** Clears the screen, sets its title, turns the direction of writing. */
const HOSTILE = 'Eve\u001b[2J\u001b]0;x\u0007\u202e'

const PASSWORD = `pbkdf2_sha256$1$s$${'A'.repeat(43)}=`

describe('tidings users', () => {
  const releaser = useReleaser()
  let lab: CliLab
  let cli: Cli
  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
    cli = createCli({
      ...(lab.cli.env as Record<string, string>),
      PASSWORD_ITERATIONS: '1000',
      APP_URL: 'https://app.example.com/',
    })
  })
  beforeEach(async () => {
    await lab.empty()
    await query(
      `INSERT INTO users (id, email, name, password) VALUES
       ($1, 'Ada@example.com', 'Ada Lovelace', $3), ($2, 'bob@example.com', 'Bob', '!')`,
      [ADA, BOB, PASSWORD],
    )
  })

  const query = async (sql: string, values: unknown[] = []) =>
    (await lab.db.database.pool.query(sql, values)).rows
  const run = (...args: string[]) => cli.run('users', ...args)
  const addSession = async (userId: string, ip = '192.0.2.1') => {
    const id = randomUUID()
    await query(
      `INSERT INTO sessions (id, user_id, user_agent, ip, expires_at) VALUES ($1, $2, 'Firefox', $3, now() + interval '1 day')`,
      [id, userId, ip],
    )
    return id
  }
  const readUser = async (id = ADA) => (await query('SELECT * FROM users WHERE id = $1', [id]))[0]
  const audit = async () =>
    (await lab.audit()).map(({ actor, action, changed, result }) => [actor, action, changed, result])
  async function answer(args: readonly string[], prompt: string, keys: string) {
    const { exitCode, output } = await cli.runOnTerminal(['users', ...args], { answer: { prompt, keys } })
    return { exitCode, shown: stripVTControlCharacters(output) }
  }

  describe('find', () => {
    test('finds by a part of the name, the address or the id, whatever its case', async () => {
      for (const [text, ids] of [
        ['LOVE', [ADA]],
        ['bob@', [BOB]],
        [ADA.slice(0, 18), [BOB, ADA]],
        ['00000000000A', [ADA]],
        ['example.com', [BOB, ADA]],
        ['nobody', []],
      ] as const)
        expect([text, linesOf((await run('find', text, '-o', 'id')).stdout).toSorted()]).toEqual([
          text,
          [...ids].toSorted(),
        ])
    })

    test('takes the characters of patterns as they are', async () => {
      for (const text of ['%', '_', 'A%a', '\\'])
        expect(await run('find', text, '-o', 'json')).toMatchObject({ exitCode: 0, stdout: '[]\n' })
    })

    test('shows a bounded list, masked unless --show-sensitive, and says that there are more', async () => {
      const first = await run('find', 'example', '--limit', '1')
      expect(linesOf(first.stdout)).toHaveLength(1)
      expect(first.stderr).toContain('More than 1 match.')
      const listed = JSON.parse((await run('find', 'ada', '-o', 'json')).stdout)
      expect(listed).toMatchObject([
        { id: ADA, email: 'A***@example.com', active: true, last_login_at: null },
      ])
      expect(JSON.stringify(listed)).not.toMatch(/pbkdf2|push-token/)
      expect((await run('find', 'ada', '--show-sensitive')).stdout).toContain('\tAda@example.com\t')
      expect(await run('find', 'x', '--limit', '1001')).toMatchObject({ exitCode: 64 })
    })
  })

  describe('undeliverable', () => {
    const listed = async (...args: string[]) =>
      JSON.parse((await run('undeliverable', ...args, '-o', 'json')).stdout).map(
        ({ id, reason }: { id: string; reason: string }) => [id, reason],
      )

    test('lists whom a channel does not reach, and why', async () => {
      expect(await run('undeliverable')).toMatchObject({
        exitCode: 0,
        stdout: '',
        stderr: 'Every user can be reached.\n',
      })
      await query('UPDATE users SET is_active = false WHERE id = $1', [BOB])
      expect(await lab.cli.run('suppressions', 'add', 'ada@example.com', '--yes')).toMatchObject({
        exitCode: 0,
      })
      expect((await listed()).sort()).toEqual([
        [ADA, 'suppressed_manual'],
        [BOB, 'inactive'],
      ])
      expect(await listed('--reason', 'suppressed_manual')).toEqual([[ADA, 'suppressed_manual']])
      expect(await listed('--channel', 'push', '--reason', 'no_push_token')).toEqual([[ADA, 'no_push_token']])
    })

    test('is bounded, masked, and says that there are more', async () => {
      const { stdout, stderr } = await run('undeliverable', '--channel', 'push', '--limit', '1')
      expect(linesOf(stdout)).toHaveLength(1)
      expect(stdout).not.toMatch(/ada@|bob@/i)
      expect(stderr).toContain('There are more than 1. Add --limit.')
      expect(await run('undeliverable', '--channel', 'fax')).toMatchObject({ exitCode: 64 })
    })
  })

  describe('a user', () => {
    const commands = [
      'show',
      'deactivate',
      'reactivate',
      'end-sessions',
      'unlock',
      'reset-link',
      'export',
      'erase',
    ]

    test.each(commands)(
      '%s: an unknown id or address is exit code 3, and a part of several 64',
      async (name) => {
        for (const unknown of [randomUUID(), 'nobody@example.com', 'nobody'])
          expect(await run(name, unknown)).toMatchObject({ exitCode: 3, stdout: '' })
        const one = await run(name, 'lovelace')
        expect(one).toMatchObject({ exitCode: 3, stdout: '' })
        expect(one.stderr).toContain(`${ADA}  A***@example.com`)
        const several = await run(name, 'example.com')
        expect(several).toMatchObject({ exitCode: 64, stdout: '' })
        for (const id of [ADA, BOB]) expect(several.stderr).toContain(id)
        for (const broken of ['a\0b', 'ada@example.com\nx', '\u001b[2J'])
          expect(await run(name, broken)).toMatchObject({ exitCode: 64, stdout: '' })
        expect(await lab.audit()).toEqual([])
      },
    )

    test('is found by the id or the address in any case', async () => {
      for (const given of [ADA, ADA.toUpperCase(), 'ada@EXAMPLE.com', ' Ada@example.com '])
        expect(await run('show', given, '-o', 'id')).toMatchObject({ exitCode: 0, stdout: `${ADA}\n` })
    })

    test('stored text never reaches a terminal raw', async () => {
      await query('UPDATE users SET name = $1 WHERE id = $2', [HOSTILE, ADA])
      await addSession(ADA)
      await query('UPDATE sessions SET user_agent = $1', [HOSTILE])
      const raw = ['\u001b[2J', '\u001b]0', '\u202e', '\u0007']
      for (const args of [
        ['show', ADA],
        ['find', 'Eve'],
        ['find', 'Eve', '-o', 'json'],
        ['show', ADA, '-o', 'json'],
        ['export', ADA, '--show-sensitive'],
        ['reactivate', ADA],
      ]) {
        const { output, exitCode } = await cli.runOnTerminal(['users', ...args])
        expect([args, exitCode]).toEqual([args, 0])
        for (const sequence of raw) expect([args, output.includes(sequence)]).toEqual([args, false])
      }
      const { output } = await cli.runOnTerminal(['users', 'deactivate', ADA], {
        answer: { prompt: 'Deactivate?', keys: 'n' },
      })
      expect(output).not.toContain('\u001b]0')
    })
  })

  test('show tells the state of an account, masked, and no secret', async () => {
    await addSession(ADA)
    const ended = await addSession(ADA)
    await query('UPDATE sessions SET revoked_at = now() WHERE id = $1', [ended])
    await query(
      `INSERT INTO devices (user_id, device_id, token, token_digest) VALUES ($1, 'phone', 't', '\\x01')`,
      [ADA],
    )
    const shown = await run('show', ADA, '-o', 'json')
    expect(JSON.parse(shown.stdout)).toEqual({
      id: ADA,
      email: 'A***@example.com',
      email_verified_at: null,
      name: 'Ada Lovelace',
      active: true,
      preferences: { email: true, push: true },
      last_login_at: null,
      created_at: expect.any(String),
      updated_at: expect.any(String),
      has_password: true,
      devices: 1,
      wrong_passwords: null,
      locked: null,
      sessions: [expect.objectContaining({ ip: '192.0.2.1', user_agent: 'Firefox' })],
    })
    expect(shown.stderr).toContain('counted in the memory of each API')
    const text = (await run('show', BOB)).stdout
    expect(text).toContain('b***@example.com, not verified')
    expect(text).toContain('none can be used')
    expect(await audit()).toEqual([])
  })

  describe('deactivate and reactivate', () => {
    test('end sessions, old tokens and links, send one notice, and are audited before and after', async () => {
      await addSession(ADA)
      const other = await addSession(BOB)
      const expiresAt = new Date(Date.now() + 60_000)
      const link = { userId: ADA, purpose: 'password_reset', email: 'Ada@example.com', expiresAt } as const
      const token = await mintToken(lab.db.database, link)
      const first = await run('deactivate', 'ada@example.com', '--yes', '-o', 'json')
      expect(first).toMatchObject({ exitCode: 0 })
      expect(JSON.parse(first.stdout)).toEqual({ id: ADA, changed: true, ended_sessions: 1 })
      expect(await readUser()).toMatchObject({ is_active: false, legacy_tokens_ended_at: expect.any(Date) })
      expect(await useToken(lab.db.database, 'password_reset', token)).toBeUndefined()
      expect(await query('SELECT id FROM sessions WHERE revoked_at IS NULL')).toEqual([{ id: other }])
      const again = await run('deactivate', ADA, '--yes', '-o', 'json')
      expect(JSON.parse(again.stdout)).toEqual({ id: ADA, changed: false, ended_sessions: 0 })
      expect(again.stderr).toContain('inactive already')
      expect(await query('SELECT kind, user_id, variables FROM outbound_messages')).toEqual([
        // No name: anybody could have registered the address.
        { kind: 'account_deactivated', user_id: ADA, variables: {} },
      ])
      const back = await run('reactivate', ADA, '-o', 'json')
      expect(JSON.parse(back.stdout)).toEqual({ id: ADA, changed: true })
      expect(JSON.parse((await run('reactivate', ADA, '-o', 'json')).stdout)).toEqual({
        id: ADA,
        changed: false,
      })
      expect(await readUser()).toMatchObject({ is_active: true })
      expect(await audit()).toEqual([
        ['ada', 'users.deactivate', 0, 'started'],
        ['ada', 'users.deactivate', 1, 'deactivated'],
        ['ada', 'users.deactivate', 0, 'started'],
        ['ada', 'users.deactivate', 0, 'was inactive'],
        ['ada', 'users.reactivate', 0, 'started'],
        ['ada', 'users.reactivate', 1, 'reactivated'],
        ['ada', 'users.reactivate', 0, 'started'],
        ['ada', 'users.reactivate', 0, 'was active'],
      ])
      const selectors = JSON.stringify((await lab.audit()).map(({ selector }) => selector))
      expect(selectors).toContain(ADA)
      expect(selectors).not.toContain('@')
    })
  })

  describe('questions', () => {
    const asking: [string[], string][] = [
      [['deactivate', ADA], 'Deactivate?'],
      [['set-password', ADA], 'Set a new one?'],
      [['end-sessions', ADA], 'End them?'],
      [['reset-link', ADA], 'Make it?'],
      [['erase', ADA], 'Type the address'],
    ]
    const unchanged = async () => {
      expect(await audit()).toEqual([])
      expect(await readUser()).toMatchObject({ is_active: true, password: PASSWORD })
      expect(await query('SELECT 1 FROM one_time_tokens')).toEqual([])
    }

    test.each(asking)('%s: no, Enter and Ctrl-C change nothing: exit code 2', async (args, prompt) => {
      for (const keys of ['n', '\r', CTRL_C]) {
        const typed = prompt === 'Type the address' && keys === 'n' ? 'bob@example.com\r' : keys
        const { exitCode, shown } = await answer(args, prompt, typed)
        expect([keys, exitCode]).toEqual([keys, 2])
        expect(shown).toContain('Nothing was changed.')
        expect(shown).not.toContain('Ada@example.com')
      }
      await unchanged()
    })

    test.each(asking)('%s: without a terminal and without --yes it refuses: exit code 2', async (args) => {
      expect(await run(...args)).toMatchObject({ exitCode: 2, stdout: '' })
      await unchanged()
    })

    test.each([...asking.map(([args]) => args), ['reactivate', ADA], ['unlock', ADA]])(
      '%s: --read-only refuses it: exit code 2',
      async (...args) => {
        expect(await cli.run('--read-only', 'users', ...args.flat(), '--yes')).toMatchObject({
          exitCode: expect.toSatisfy((code) => code === 2 || code === 64),
        })
        expect(await cli.run('--read-only', 'users', ...args.flat())).toMatchObject({ exitCode: 2 })
        await unchanged()
      },
    )
  })

  describe('set-password', () => {
    const pipe = (input: string, ...more: string[]) =>
      cli.pipe(input, 'users', 'set-password', ADA, '--stdin', '--yes', ...more)

    test('sets what the pipe holds without its last newline, and shows it nowhere', async () => {
      await addSession(ADA)
      const run = await pipe(`${GOOD_PASSWORD}\n`, '-o', 'json')
      expect(run).toMatchObject({ exitCode: 0 })
      expect(JSON.parse(run.stdout)).toEqual({ id: ADA, ended_sessions: 1 })
      expect((await readUser()).password).toMatch(/^pbkdf2_sha256\$1000\$\w{22}\$[\w+/]{43}=$/)
      const audited = JSON.stringify(await query('SELECT * FROM operator_audit'))
      expect(run.stdout + run.stderr + audited).not.toContain(GOOD_PASSWORD)
      expect(await query('SELECT kind FROM outbound_messages')).toEqual([{ kind: 'password_changed' }])
    })

    test.each([
      ['short', 'short'],
      ['empty', ''],
      ['a common password', 'password123'],
      ['the address', 'Ada@example.com'],
      ['the name', 'AdaLovelace1'],
      ['repetitive', 'aaaaaaaaaaaa'],
      ['too long', 'x1y2z3'.repeat(200)],
      ['endless', 'x'.repeat(100_000)],
    ])('refuses %s by the rules of the API: exit code 64, nothing is changed', async (_, password) => {
      const run = await pipe(password)
      expect(run).toMatchObject({ exitCode: 64, stdout: '' })
      expect(run.stderr).toMatch(/^Set the password: .*\ntidings: Nothing was changed\. .+\n$/)
      expect(await readUser()).toMatchObject({ password: PASSWORD })
      expect(await audit()).toEqual([])
    })

    test('a password is no argument', async () => {
      expect(await run('set-password', ADA, GOOD_PASSWORD, '--yes')).toMatchObject({ exitCode: 64 })
    })

    test('on a terminal it asks twice without an echo', async () => {
      const keys = `${GOOD_PASSWORD}\r`
      const typed = await cli.runOnTerminal(['users', 'set-password', ADA, '--yes'], {
        answers: [
          { prompt: 'New password', keys },
          { prompt: 'The same again', keys },
        ],
      })
      expect(typed.exitCode).toBe(0)
      expect(stripVTControlCharacters(typed.output)).not.toMatch(/another|▪|•/)
      expect((await readUser()).password).toMatch(/^pbkdf2_sha256\$1000\$/)
      const differs = await cli.runOnTerminal(['users', 'set-password', BOB, '--yes'], {
        answers: [
          { prompt: 'New password', keys },
          { prompt: 'The same again', keys: 'something else 1\r' },
        ],
      })
      expect(differs.exitCode).toBe(64)
      const stopped = await cli.runOnTerminal(['users', 'set-password', BOB, '--yes'], {
        answer: { prompt: 'New password', keys: CTRL_C },
      })
      expect(stopped.exitCode).toBe(2)
      expect((await readUser(BOB)).password).toBe('!')
    })
  })

  test('end-sessions counts what it ended, and ends the tokens of Django', async () => {
    await addSession(ADA)
    await addSession(ADA)
    await addSession(BOB)
    const ended = async () => JSON.parse((await run('end-sessions', ADA, '--yes', '-o', 'json')).stdout)
    expect(await ended()).toEqual({ id: ADA, ended_sessions: 2 })
    expect(await ended()).toEqual({ id: ADA, ended_sessions: 0 })
    expect(await readUser()).toMatchObject({ legacy_tokens_ended_at: expect.any(Date) })
    expect(await query('SELECT user_id FROM sessions WHERE revoked_at IS NULL')).toEqual([{ user_id: BOB }])
  })

  describe('reset-link', () => {
    test('prints a link that works once and is stored nowhere', async () => {
      const made = await run('reset-link', ADA, '--yes', '-o', 'json')
      expect(made).toMatchObject({ exitCode: 0 })
      const { id, link, expires_at } = JSON.parse(made.stdout)
      expect(id).toBe(ADA)
      const [, token = ''] =
        /^https:\/\/app\.example\.com\/reset-password\?token=([\w-]{43})$/.exec(link) ?? []
      expect(Date.parse(expires_at) - Date.now()).toBeLessThanOrEqual(3_600_000)
      const stored = JSON.stringify([
        await query('SELECT * FROM one_time_tokens'),
        await query('SELECT * FROM operator_audit'),
      ])
      expect(stored + made.stderr).not.toContain(token)
      expect(await useToken(lab.db.database, 'operator_reset', token)).toEqual({
        userId: ADA,
        email: 'Ada@example.com',
      })
      expect(await useToken(lab.db.database, 'operator_reset', token)).toBeUndefined()
      expect(await audit()).toEqual([
        ['ada', 'users.reset-link', 0, 'started'],
        ['ada', 'users.reset-link', 1, 'done'],
      ])
    })

    test('does not prove the address: nobody received a mail there', async () => {
      await query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [ADA])
      const { link } = JSON.parse((await run('reset-link', ADA, '--yes', '-o', 'json')).stdout)
      const token = new URL(link).searchParams.get('token') ?? ''
      const reset = { token, hash: 'new', locale: 'en' }
      expect(await resetPassword(lab.db.database, reset)).toMatchObject({ userId: ADA })
      expect(await readUser()).toMatchObject({ password: 'new', email_verified_at: null })
      expect(await resetPassword(lab.db.database, reset)).toBeUndefined()
    })

    test('prints the link alone on stdout', async () => {
      const made = await run('reset-link', ADA, '--yes', '--expires-in', '5m')
      expect(made.stdout).toMatch(/^https:\S+\n$/)
      expect(made.stderr).toContain('It works once')
    })

    test('lives for an hour at most, needs a place to lead to, and an active user', async () => {
      for (const time of ['2h', '0s', 'soon'])
        expect(await run('reset-link', ADA, '--yes', '--expires-in', time)).toMatchObject({ exitCode: 64 })
      const lost = await lab.cli.run('users', 'reset-link', ADA, '--yes')
      expect(lost).toMatchObject({ exitCode: 1, stdout: '' })
      expect(lost.stderr).toContain('Set APP_URL or API_URL')
      await run('deactivate', BOB, '--yes')
      expect(await run('reset-link', BOB, '--yes')).toMatchObject({ exitCode: 1, stdout: '' })
      expect(await query('SELECT 1 FROM one_time_tokens')).toEqual([])
    })
  })
})

describeBackends('tidings users with dead letters', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab
  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
  })
  beforeEach(async () => {
    await lab.empty()
    await query(
      `INSERT INTO users (id, email, name, password) VALUES
       ('${ADA}', 'ada@example.com', 'Ada', '!'), ('${BOB}', 'bob@example.com', 'Bob', '!')`,
    )
    await query(
      `INSERT INTO notification_status (id, user_id, timestamp, received_at, notification_type, status, notification_id, source)
       SELECT gen_random_uuid(), '${ADA}', now(), now(), 'email', 'sent', 'n-' || n, 's' FROM generate_series(1, 3) AS n`,
    )
    await lab.bury(2, { fields: { user_id: ADA } })
    await lab.bury(1, { fields: { user_id: BOB } })
    await lab.bury(1, { fields: { error: 'no mailbox ada@example.com' } })
  })
  const query = async (sql: string) => (await lab.db.database.pool.query(sql)).rows
  const lastLine = (text: string) => JSON.parse(linesOf(text).at(-1) ?? '')

  test('export writes everything into a new file of its owner, and never over another', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-users-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    const file = join(folder, 'ada.ndjson')
    const run = await lab.cli.run('users', 'export', 'ada@example.com', file)
    expect(run).toMatchObject({ exitCode: 0, stdout: '' })
    expect(run.stderr).toBe(`Exported 8 records to ${file}.\n`)
    const text = await readFile(file, 'utf8')
    // The audit entry is the one that this export began with.
    expect(lastLine(text)).toMatchObject({
      type: 'end',
      counts: { account: 1, event: 3, dead_letter: 2, audit_entry: 1, session: 0 },
    })
    expect(text).not.toContain(BOB)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await lab.cli.run('users', 'export', ADA, file)).toMatchObject({ exitCode: 1 })
    expect(await readFile(file, 'utf8')).toBe(text)
    const piped = await lab.cli.run('users', 'export', ADA)
    expect(lastLine(piped.stdout)).toMatchObject({ type: 'end', counts: { dead_letter: 2, audit_entry: 3 } })
    expect((await lab.audit()).map(({ action, result }) => [action, result])).toEqual([
      ['users.export', 'started'],
      ['users.export', 'done'],
      ['users.export', 'started'],
      ['users.export', 'done'],
    ])
  })

  test('export on a terminal wants a file, and Ctrl-C leaves an incomplete one: exit code 5', async () => {
    const refused = await lab.cli.runOnTerminal(['users', 'export', ADA])
    expect(refused.exitCode).toBe(64)
    expect(await lab.audit()).toEqual([])
    const blocker = await lab.db.database.pool.connect()
    try {
      await blocker.query('BEGIN; LOCK TABLE notification_status')
      const running = lab.cli.begin('users', 'export', ADA)
      await waitFor('the export to begin', async () => (await lab.audit()).length === 1)
      running.interrupt()
      await blocker.query('ROLLBACK')
      const run = await running.ended
      expect(run).toMatchObject({ exitCode: 5 })
      expect(run.stderr).toContain('Interrupted. The export is incomplete')
      expect(run.stdout).not.toContain('"type":"end"')
    } finally {
      blocker.release()
    }
    expect((await lab.audit()).at(-1)?.result).toContain('interrupted')
  })

  test('erase takes the typed address, and leaves nothing of it in any store', async () => {
    const { exitCode } = await lab.cli.runOnTerminal(['users', 'erase', ADA, '--settle', '0s'], {
      answer: { prompt: 'Type the address', keys: 'ADA@example.com\r' },
    })
    expect(exitCode).toBe(0)
    const entries = (await readPage(lab.store, { limit: 100 })).map(({ entry }) => entry)
    expect(entries).toHaveLength(4)
    const kept = JSON.stringify([
      entries,
      await query('SELECT * FROM users'),
      await query('SELECT * FROM notification_status'),
      await query('SELECT * FROM outbound_messages'),
      await query('SELECT * FROM operator_audit'),
    ])
    expect(kept).not.toMatch(/ada@example\.com/i)
    expect(kept).toContain(BOB)
    expect(await query('SELECT id FROM notification_status WHERE user_id IS NULL')).toHaveLength(3)
    expect(await query('SELECT 1 FROM erased_users')).toHaveLength(1)
    expect((await lab.audit()).map(({ action, changed, result }) => [action, changed, result])).toEqual([
      ['users.erase', 0, 'started'],
      ['users.erase', 1, 'done'],
    ])
    expect(await lab.cli.run('users', 'erase', ADA, '--yes')).toMatchObject({ exitCode: 3 })
  })

  test('erase searches the dead letters again; Ctrl-C during the wait says what is left: exit code 5', async () => {
    const { exitCode, output } = await lab.cli.runOnTerminal(
      ['users', 'erase', ADA, '--yes', '--settle', '1h'],
      {
        interruptAt: 'searched again in 1h',
      },
    )
    expect(exitCode).toBe(5)
    expect(output).toContain('The account is erased.')
    expect(await query(`SELECT 1 FROM users WHERE id = '${ADA}'`)).toEqual([])
    expect((await lab.audit()).at(-1)).toMatchObject({ action: 'users.erase', changed: 1 })
  })

  test('when the APIs cannot be told, the change is stored and the exit code is 5', async () => {
    const deaf = createCli({
      ...(lab.cli.env as Record<string, string>),
      QUEUE_BACKEND: 'redis',
      REDIS_URL: 'redis://127.0.0.1:1',
    })
    const run = await deaf.run('users', 'deactivate', ADA, '--yes')
    expect(run).toMatchObject({ exitCode: 5, stdout: '' })
    expect(run.stderr).toContain('the running APIs could not be told')
    expect(await query(`SELECT is_active FROM users WHERE id = '${ADA}'`)).toEqual([{ is_active: false }])
    expect((await lab.audit()).at(-1)).toMatchObject({ changed: 1 })
    expect(await deaf.run('users', 'erase', BOB, '--yes')).toMatchObject({ exitCode: 6 })
    expect(await query(`SELECT 1 FROM users WHERE id = '${BOB}'`)).toHaveLength(1)
  })
})
