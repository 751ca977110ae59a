import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recordErasure } from '@tidings/db/users/erased-users'
import { eventIdOf } from '@tidings/queue/dead-letters/entry-id'
import { LIST_SORTS, type ListSort } from '@tidings/queue/dead-letters/list'
import { MAX_JOB_LENGTH } from '@tidings/queue/policy'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'
import { type Cli, createCli, linesOf } from '../../testing/cli-process.ts'

describeBackends('tidings dlq', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab
  let cli: Cli
  let folder: string

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
    cli = lab.cli
    folder = await mkdtemp(join(tmpdir(), 'tidings-cli-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
  })
  beforeEach(() => lab.empty())

  const audit = async () =>
    (
      await lab.db.database.pool.query(
        'SELECT actor, action, changed, result, selector FROM operator_audit ORDER BY at, id',
      )
    ).rows

  test('an empty list is exit code 0, in every format', async () => {
    for (const [format, output] of [
      ['table', ''],
      ['json', '[]\n'],
      ['ndjson', ''],
      ['id', ''],
    ] as const)
      expect(await cli.run('dlq', 'list', '-o', format)).toMatchObject({ exitCode: 0, stdout: output })
  })

  test('list writes tab-separated lines into a pipe, JSON and ids when asked', async () => {
    const ids = await lab.bury(3)
    const tsv = await cli.run('dlq', 'list')
    expect(linesOf(tsv.stdout).map((line) => line.split('\t')[0])).toEqual(ids.toReversed())
    expect(tsv.stdout).not.toContain('\u001b')
    const json = JSON.parse((await cli.run('dlq', 'list', '-o', 'json')).stdout)
    expect(json[0]).toMatchObject({
      id: ids[2],
      reason: 'unknown_user',
      event: { status: 'delivered' },
      redrives: 0,
    })
    const ndjson = linesOf((await cli.run('dlq', 'list', '-o', 'ndjson')).stdout)
    expect(ndjson.map((line) => JSON.parse(line).id)).toEqual(ids.toReversed())
    expect(linesOf((await cli.run('dlq', 'list', '-o', 'id', '--reverse')).stdout)).toEqual(ids)
  })

  test('each filter finds the matching entry only', async () => {
    await lab.bury(2)
    const user = '7f000000-0000-4000-8000-000000000001'
    const [id] = await lab.bury(1, {
      reason: 'retries_exhausted',
      error: { code: '55P03', message: 'lock timeout on row 12' },
      redrives: 2,
      fields: {
        notification_type: 'push',
        status: 'sent',
        notification_id: 'order-77',
        user_id: user,
        source: 'push-service',
      },
    })
    const [group] = linesOf((await cli.run('dlq', 'groups', '--type', 'push', '-o', 'id')).stdout)
    const filters = [
      ['--type', 'push'],
      ['--status', 'sent'],
      ['--reason', 'retries_exhausted'],
      ['--notification-id', 'order-77'],
      ['--user-id', user.toUpperCase()],
      ['--source', 'push-service'],
      ['--error', 'LOCK TIMEOUT'],
      ['--fingerprint', group ?? ''],
      ['--redriven-gte', '2'],
      ['--type', 'push', '--since', '1h', '--until', '2100-01-01T00:00:00Z'],
    ]
    for (const filter of filters) {
      const found = await cli.run('dlq', 'list', '-o', 'id', ...filter)
      expect([filter, linesOf(found.stdout)]).toEqual([filter, [id]])
    }
    for (const filter of [
      ['--type', 'push', '--reason', 'stalled'],
      ['--until', '1h'],
    ])
      expect((await cli.run('dlq', 'list', '-o', 'id', ...filter)).stdout).toBe('')
  })

  test.each(['dead_at', 'redrives', 'attempts', 'notification_id'])(
    'pages by %s cover everything once',
    async (sort) => {
      const ids = await lab.bury(7)
      const seen: string[] = []
      let cursor: string[] = []
      for (let page = 0; page < 4; page++) {
        const run = await cli.run('dlq', 'list', '-o', 'id', '--limit', '2', '--sort', sort, ...cursor)
        seen.push(...linesOf(run.stdout))
        const next = /--cursor (\S+)/.exec(run.stderr)?.[1]
        expect(next === undefined).toBe(page === 3)
        cursor = next === undefined ? [] : ['--cursor', next]
      }
      expect(seen.toSorted()).toEqual(ids.toSorted())
    },
  )

  /** The order of the four entries below, smallest first. It differs for each sort. */
  const SORTED: { sort: ListSort; ascending: number[] }[] = [
    { sort: 'dead_at', ascending: [0, 1, 2, 3] },
    { sort: 'first_failed_at', ascending: [2, 0, 1, 3] },
    { sort: 'attempts', ascending: [1, 0, 2, 3] },
    { sort: 'redrives', ascending: [3, 2, 1, 0] },
    { sort: 'reason', ascending: [0, 3, 2, 1] },
    { sort: 'type', ascending: [1, 2, 0, 3] },
    { sort: 'status', ascending: [2, 1, 0, 3] },
    { sort: 'notification_id', ascending: [3, 0, 2, 1] },
  ]
  test('list --sort orders by each field, largest first, and with --reverse smallest first', async () => {
    expect(SORTED.map(({ sort }) => sort)).toEqual(LIST_SORTS)
    const failedEvents: Parameters<typeof lab.bury>[1][] = [
      {
        firstFailedAt: new Date('2026-01-01T02:00:00Z'),
        attempts: 2,
        redrives: 10,
        reason: 'conflict',
        fields: { notification_type: 'push', status: 'failed', notification_id: 'n-b' },
      },
      {
        firstFailedAt: new Date('2026-01-01T03:00:00Z'),
        attempts: 1,
        redrives: 2,
        reason: 'unknown_user',
        // An unreadable event may have no type.
        fields: { notification_type: undefined, status: 'delivered', notification_id: 'n-d' },
      },
      {
        firstFailedAt: new Date('2026-01-01T01:00:00Z'),
        attempts: 10,
        redrives: 1,
        reason: 'stalled',
        fields: { notification_type: 'email', status: 'bounced', notification_id: 'n-c' },
      },
      {
        firstFailedAt: new Date('2026-01-01T04:00:00Z'),
        attempts: 11,
        redrives: 0,
        reason: 'invalid_event',
        fields: { notification_type: 'sms', status: 'sent', notification_id: 'n-a' },
      },
    ]
    const ids: string[] = []
    for (const failedEvent of failedEvents) ids.push(...(await lab.bury(1, failedEvent)))
    for (const { sort, ascending } of SORTED) {
      const expected = ascending.map((n) => ids[n])
      const run = await cli.run('dlq', 'list', '-o', 'id', '--sort', sort)
      expect([sort, linesOf(run.stdout)]).toEqual([sort, expected.toReversed()])
      const reversed = await cli.run('dlq', 'list', '-o', 'id', '--sort', sort, '--reverse')
      expect([sort, linesOf(reversed.stdout)]).toEqual([sort, expected])
    }
  })

  test('groups show when the first event failed and when the last was dead-lettered', async () => {
    const [first = ''] = await lab.bury(1, { firstFailedAt: new Date('2026-01-01T02:00:00Z') })
    const [second = ''] = await lab.bury(1, { firstFailedAt: new Date('2026-01-01T01:00:00Z') })
    const [last = ''] = await lab.bury(1, { firstFailedAt: new Date('2026-01-01T03:00:00Z') })
    const diedAt = (await lab.store.get([first, second, last])).map((entry) => entry.dead_at)
    const groups = JSON.parse((await cli.run('dlq', 'groups', '-o', 'json')).stdout)
    expect(groups).toMatchObject([{ count: 3, first_seen: '2026-01-01T01:00:00.000Z', last_seen: diedAt[2] }])
    const [line = ''] = linesOf((await cli.run('dlq', 'groups')).stdout)
    expect(line.split('\t').slice(1, 5)).toEqual(['3', 'unknown_user', '2026-01-01T01:00:00.000Z', diedAt[2]])
  })

  test('groups count errors that differ only in ids and numbers as one', async () => {
    await lab.bury(3)
    await lab.bury(2, { reason: 'stalled', error: { code: 'stalled', message: 'x' } })
    const groups = JSON.parse((await cli.run('dlq', 'groups', '-o', 'json')).stdout)
    expect(groups).toMatchObject([
      { count: 3, reason: 'unknown_user', error: { message: 'There is no user <id>' } },
      { count: 2, reason: 'stalled' },
    ])
    expect(groups[0].sample_id).toMatch(/^dead-/)
  })

  test('show takes the entry id and the event id; an unknown one is exit code 3', async () => {
    const [id = ''] = await lab.bury(1)
    for (const name of [id, eventIdOf(id)])
      expect(JSON.parse((await cli.run('dlq', 'show', name, '-o', 'json')).stdout)).toMatchObject({
        id,
        attempts: 1,
      })
    expect((await cli.run('dlq', 'show', id)).stdout).toContain('Reason        unknown_user')
    expect(await cli.run('dlq', 'show', 'dead-nope')).toMatchObject({ exitCode: 3, stdout: '' })
    expect(await cli.run('dlq', 'show', randomUUID())).toMatchObject({ exitCode: 3, stdout: '' })
  })

  /** Buries two events of one id and other content. */
  async function buryConflict() {
    const eventId = randomUUID()
    const ids = [
      ...(await lab.bury(1, { eventId, reason: 'conflict', fields: { status: 'sent' } })),
      ...(await lab.bury(1, { eventId, reason: 'conflict', fields: { status: 'delivered' } })),
    ]
    expect(new Set(ids).size).toBe(2)
    return { eventId, ids }
  }

  test('show lists both entries of an event that conflicted; as JSON in an array', async () => {
    const { eventId, ids } = await buryConflict()
    const json = JSON.parse((await cli.run('dlq', 'show', eventId, '-o', 'json')).stdout)
    expect(json.map((entry: { id: string }) => entry.id).toSorted()).toEqual(ids.toSorted())
    const text = linesOf((await cli.run('dlq', 'show', eventId)).stdout)
    expect(text.filter((line) => line.startsWith('Entry '))).toHaveLength(2)
    const [one = ''] = ids
    expect(JSON.parse((await cli.run('dlq', 'show', one, '-o', 'json')).stdout)).toMatchObject({ id: one })
  })

  test('redrive and delete take an event id for all its entries, and say which ids are unknown', async () => {
    const [other = ''] = await lab.bury(1)
    const first = await buryConflict()
    expect(await cli.run('dlq', 'redrive', first.eventId, '--yes')).toMatchObject({ exitCode: 0 })
    expect((await lab.queuedIds()).toSorted()).toEqual(first.ids.toSorted())
    const second = await buryConflict()
    expect(await cli.run('dlq', 'delete', second.eventId, '--yes')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(1)
    for (const command of ['redrive', 'delete'])
      expect(await cli.run('dlq', command, randomUUID(), '--yes')).toMatchObject({ exitCode: 3 })
    expect(await cli.run('dlq', 'delete', eventIdOf(other), randomUUID(), '--yes')).toMatchObject({
      exitCode: 5,
    })
    expect(await lab.store.count()).toBe(0)
  })

  test('show lists the attempts whose errors are known, oldest first', async () => {
    const history = [
      { at: '2026-01-01T00:00:00.000Z', code: '40001', message: 'could not serialize access' },
      { at: '2026-01-01T00:00:02.000Z', code: '55P03', message: 'lock timeout\u001b[2J of ada@example.com' },
    ]
    const [id = ''] = await lab.bury(1, { reason: 'retries_exhausted', attempts: 4, history })
    const shown = linesOf((await cli.run('dlq', 'show', id)).stdout)
    const start = shown.indexOf('Attempts')
    expect(shown.slice(start, start + 4)).toEqual([
      'Attempts',
      '  1  2026-01-01T00:00:00.000Z  40001: could not serialize access',
      '  2  2026-01-01T00:00:02.000Z  55P03: lock timeout [2J of a***@example.com',
      'Event',
    ])
    expect(shown).toContain('Tried         4 attempts')
    const json = JSON.parse((await cli.run('dlq', 'show', id, '-o', 'json', '--show-sensitive')).stdout)
    expect(json).toMatchObject({ attempts: 4, history })
  })

  test('masks e-mail addresses and push tokens unless told not to', async () => {
    const token = `fGx8a9bcdefghijklmnopq:${'APA91b'.repeat(20)}`
    const [id = ''] = await lab.bury(1, {
      error: { code: 'x', message: 'mailbox of grace.hopper@example.com is full' },
      fields: { metadata: { push_token: 'short-token-1', note: token } },
    })
    for (const args of [
      ['list'],
      ['list', '-o', 'json'],
      ['show', id],
      ['show', id, '-o', 'json'],
      ['groups'],
    ]) {
      const masked = (await cli.run('dlq', ...args)).stdout
      expect(masked).not.toMatch(/grace\.hopper|APA91b|short-token-1/)
    }
    const whole = (await cli.run('dlq', 'show', id, '--show-sensitive')).stdout
    for (const text of ['grace.hopper@example.com', 'short-token-1', token]) expect(whole).toContain(text)
  })

  test('redrive by id puts the event back with its count, and writes two audit rows', async () => {
    const [id = '', other] = await lab.bury(2)
    expect(await cli.run('dlq', 'redrive', id)).toMatchObject({ exitCode: 0, stdout: '' })
    const [job] = await lab.main.getJobs(['waiting'])
    expect(job?.data.events).toMatchObject([{ id: eventIdOf(id), redrives: 1 }])
    expect(await lab.store.get([id, other ?? ''])).toHaveLength(1)
    expect(await audit()).toMatchObject([
      { actor: 'ada', action: 'dlq.redrive', result: 'started' },
      {
        actor: 'ada',
        action: 'dlq.redrive',
        changed: 1,
        result: 'done',
        selector: { selection: { ids: [id] } },
      },
    ])
    expect(await cli.run('dlq', 'redrive', id)).toMatchObject({ exitCode: 3 })
    expect(await cli.run('dlq', 'redrive', id, other ?? '', '--yes')).toMatchObject({ exitCode: 5 })
  })

  test('a list of ids pipes into redrive', async () => {
    const ids = await lab.bury(5)
    const list = await cli.run('dlq', 'list', '-o', 'id', '--limit', '3')
    expect(await cli.pipe(list.stdout, 'dlq', 'redrive', '-', '--yes')).toMatchObject({ exitCode: 0 })
    expect((await lab.queuedIds()).toSorted()).toEqual(ids.slice(2).toSorted())
  })

  test('redrive by filter and group leaves the others; --max limits, --dry-run changes nothing', async () => {
    await lab.bury(4)
    await lab.bury(3, { reason: 'stalled', error: { code: 'stalled', message: 'x' } })
    const dry = await cli.run('dlq', 'redrive', '--reason', 'stalled', '--dry-run', '-o', 'id')
    expect(dry).toMatchObject({ exitCode: 0 })
    expect(linesOf(dry.stdout)).toHaveLength(3)
    expect(await lab.store.count()).toBe(7)
    expect(await audit()).toEqual([])
    const part = await cli.run('dlq', 'redrive', '--all', '--max', '2', '--dry-run', '-o', 'id')
    expect(linesOf(part.stdout)).toHaveLength(2)
    expect(part.stderr).toMatch(/^Dry run: the first 2 of 7 entries, [\s\S]*Would redrive 2 entries/)
    const [group = ''] = linesOf((await cli.run('dlq', 'groups', '-o', 'id', '--reason', 'stalled')).stdout)
    expect(await cli.run('dlq', 'redrive', '--group', group, '--max', '2', '--yes')).toMatchObject({
      exitCode: 0,
    })
    expect(await lab.store.count()).toBe(5)
    const all = await cli.run('dlq', 'redrive', '--all', '--yes', '-o', 'json')
    expect(JSON.parse(all.stdout)).toMatchObject({ matched: 5, redriven: 5, end: 'done' })
    expect(await lab.queuedIds()).toHaveLength(7)
  })

  test.each([
    ['masked', []],
    ['in full', ['--show-sensitive']],
  ])(
    'an event nested thousands of levels deep is shown %s, cut off, and hides no other',
    async (_, flags) => {
      const deep: unknown = JSON.parse(`${'{"a":'.repeat(3_000)}"grace@example.com"${'}'.repeat(3_000)}`)
      const [id = ''] = await lab.bury(1, { event: deep, reason: 'invalid_event' })
      await lab.bury(1)
      for (const args of [
        ['list', '-o', 'json'],
        ['list', '-o', 'ndjson'],
        ['show', id],
        ['show', id, '-o', 'json'],
        ['redrive', id, '--dry-run', '--force', '-o', 'ndjson'],
      ]) {
        const run = await cli.run('dlq', ...args, ...flags)
        expect([args, run]).toMatchObject([args, { exitCode: 0 }])
        expect(run.stdout).toContain('"…"')
        expect(run.stdout).not.toContain('grace')
      }
      const exported = await cli.run('dlq', 'export')
      expect(exported).toMatchObject({ exitCode: 0 })
      expect(exported.stdout).toContain('{"a":'.repeat(1_000))
    },
  )

  test('entries redriven three times stay unless forced', async () => {
    const [id = ''] = await lab.bury(1, { redrives: 3 })
    const refused = await cli.run('dlq', 'redrive', id)
    expect(refused).toMatchObject({ exitCode: 5 })
    expect(refused.stderr).toContain('--force')
    expect(await cli.run('dlq', 'redrive', id, '--force')).toMatchObject({ exitCode: 0 })
    const [job] = await lab.main.getJobs(['waiting'])
    expect(job?.data.events[0]?.redrives).toBe(4)
  })

  // The store of each backend has this test too: packages/queue/src/dead-letters/size.test.ts.
  test.runIf(kind === 'postgres')(
    'an entry that is too long for the queue stays, also with --force, and can be exported',
    async () => {
      const page = 'x'.repeat(MAX_JOB_LENGTH)
      const [id = ''] = await lab.bury(1, { fields: { metadata: { page } } })
      await lab.bury(1)
      expect((await cli.run('dlq', 'redrive', '--all', '--dry-run', '--force')).stdout).not.toContain(id)
      const redrive = await cli.run('dlq', 'redrive', '--all', '--force', '--yes', '-o', 'json')
      expect(redrive.exitCode).toBe(5)
      expect(JSON.parse(redrive.stdout)).toMatchObject({ matched: 2, redriven: 1, oversized: 1, gone: 0 })
      expect(redrive.stderr).toContain('left 1 too long for the queue')
      const { stdout } = await cli.run('dlq', 'export')
      expect(JSON.parse(stdout)).toMatchObject({ id, event: { metadata: { page } } })
    },
  )

  test('--rate keeps to the rate', async () => {
    await lab.bury(12)
    const startedAt = performance.now()
    expect(await cli.run('dlq', 'redrive', '--all', '--yes', '--rate', '24/s')).toMatchObject({ exitCode: 0 })
    expect(performance.now() - startedAt).toBeGreaterThan(500)
  })

  test('delete --export-first exports the selected entries, and import restores them in full', async () => {
    const ids = await lab.bury(6)
    const before = await lab.store.get(ids)
    const file = join(folder, `${kind}-deleted.ndjson`)
    const deleted = await cli.run(
      'dlq',
      'delete',
      '--reason',
      'unknown_user',
      '--export-first',
      file,
      '--yes',
    )
    expect(deleted).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(0)
    expect((await stat(file)).mode & 0o077).toBe(0)
    expect((await cli.run('dlq', 'import', file, '--dry-run')).stderr).toContain('Would import 6')
    expect(await lab.store.count()).toBe(0)
    expect(await cli.run('dlq', 'import', file)).toMatchObject({ exitCode: 0 })
    expect(await lab.store.get(ids)).toEqual(before)
    expect((await cli.run('dlq', 'import', file)).stderr).toContain('6 already there')
    for (const yes of [['--yes'], []]) {
      // The command says so before it asks.
      const second = await cli.run('dlq', 'delete', '--all', '--export-first', file, ...yes)
      expect(second).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`${file} exists.`) })
    }
    expect(await lab.store.count()).toBe(6)
    expect((await audit()).filter(({ result }) => result === 'done')).toMatchObject([
      { action: 'dlq.delete', changed: 6 },
      { action: 'dlq.import', changed: 6 },
      { action: 'dlq.import', changed: 0 },
    ])
  })

  test('export and import are a round trip without loss, also of strange events', async () => {
    const strange = [
      null,
      'text',
      42,
      ['list'],
      { id: 'x', text: 'Zeile\u2028\ttab "quote" é 漢 😀', deep: { a: [1, { b: null }] } },
    ]
    for (const event of strange) await lab.bury(1, { event, reason: 'invalid_event' })
    const exported = await cli.run('dlq', 'export')
    expect(linesOf(exported.stdout)).toHaveLength(strange.length)
    const file = join(folder, `${kind}-all.ndjson`)
    await cli.run('dlq', 'export', file)
    expect(await readFile(file, 'utf8')).toBe(exported.stdout)
    await cli.run('dlq', 'delete', '--all', '--yes')
    expect(await cli.pipe(exported.stdout, 'dlq', 'import', '-')).toMatchObject({ exitCode: 0 })
    expect((await cli.run('dlq', 'export')).stdout).toBe(exported.stdout)
  })

  test('import reports wrong lines and imports the others', async () => {
    await lab.bury(1)
    const good = (await cli.run('dlq', 'export')).stdout
    await cli.run('dlq', 'delete', '--all', '--yes')
    const mixed = await cli.pipe(`nonsense\n${good}{"id":"active"}\n`, 'dlq', 'import', '-')
    expect(mixed).toMatchObject({ exitCode: 5 })
    expect(mixed.stderr).toMatch(/Line 1 is not JSON[\s\S]*Line 3 is not a dead letter/)
    expect(await lab.store.count()).toBe(1)
    expect(await cli.pipe('nonsense\n', 'dlq', 'import', '-')).toMatchObject({ exitCode: 1 })
    expect(await cli.run('dlq', 'import', join(folder, 'absent'))).toMatchObject({ exitCode: 3 })
  })

  test('import redacts entries of users who were erased meanwhile', async () => {
    const [erased, other] = [randomUUID(), randomUUID()]
    const texts = { error: 'no box ada@example.com', metadata: { to: 'ada@example.com' } }
    const [theirs = ''] = await lab.bury(1, { fields: { user_id: erased.toUpperCase(), ...texts } })
    const [another = ''] = await lab.bury(1, { fields: { user_id: other, ...texts } })
    const before = await lab.store.get([another])
    const exported = (await cli.run('dlq', 'export')).stdout
    await cli.run('dlq', 'delete', '--all', '--yes')
    await recordErasure(lab.db.database, erased)
    expect(await cli.pipe(exported, 'dlq', 'import', '-')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.get([another])).toEqual(before)
    const [entry] = await lab.store.get([theirs])
    expect(entry).toMatchObject({ event: { error: '[erased]' }, error: { message: '[erased]' } })
    expect(JSON.stringify(entry).toLowerCase()).not.toMatch(new RegExp(`${erased}|ada@`))
  })

  test('stats count by reason and type, and limits are exit code 7', async () => {
    await lab.bury(3)
    const stats = JSON.parse((await cli.run('dlq', 'stats', '-o', 'json')).stdout)
    expect(stats).toMatchObject({ depth: 3, by_reason: { unknown_user: 3 }, by_type: { email: 3 } })
    expect((await cli.run('dlq', 'stats')).stdout).toContain('depth\t3\n')
    expect(await cli.run('dlq', 'stats', '--fail-if-depth', '2')).toMatchObject({ exitCode: 7 })
    expect(await cli.run('dlq', 'stats', '--fail-if-depth', '3')).toMatchObject({ exitCode: 0 })
    expect(await cli.run('dlq', 'stats', '--fail-if-older-than', '1ms')).toMatchObject({ exitCode: 7 })
    expect(await cli.run('dlq', 'stats', '--fail-if-older-than', '1h')).toMatchObject({ exitCode: 0 })
  })

  test('stats --watch with a limit is exit code 64', async () => {
    for (const limit of [
      ['--fail-if-depth', '2'],
      ['--fail-if-older-than', '1h'],
    ]) {
      const refused = await cli.run('dlq', 'stats', '--watch', ...limit)
      expect(refused).toMatchObject({ exitCode: 64, stdout: '' })
      expect(refused.stderr).toContain('use --fail-if-… without it')
    }
  })

  test('without a terminal and without --yes, changes to many are refused at once: exit code 2', async () => {
    await lab.bury(2)
    for (const command of ['redrive', 'delete']) {
      const refused = await cli.run('dlq', command, '--all')
      expect(refused).toMatchObject({ exitCode: 2, stdout: '' })
      expect(refused.stderr).toContain('--yes')
    }
    expect(await lab.store.count()).toBe(2)
    expect(await audit()).toEqual([])
  })

  test('--read-only and TIDINGS_READ_ONLY refuse every change: exit code 2', async () => {
    const [id = ''] = await lab.bury(1)
    const commands = [
      ['dlq', 'redrive', id],
      ['dlq', 'delete', '--all', '--yes'],
      ['dlq', 'import', '-'],
      ['service-keys', 'create', 'x', '--scope', 'dlq:read'],
    ]
    const guarded = createCli({ ...(lab.cli.env as Record<string, string>), TIDINGS_READ_ONLY: '1' })
    for (const command of commands) {
      expect([command, (await cli.run(...command, '--read-only')).exitCode]).toEqual([command, 2])
      expect([command, (await guarded.run(...command)).exitCode]).toEqual([command, 2])
    }
    expect(await guarded.run('dlq', 'list')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(1)
  })

  test('wrong usage is exit code 64 and touches nothing', async () => {
    const wrong = [
      ['dlq', 'redrive'],
      ['dlq', 'redrive', 'dead-x', '--all'],
      ['dlq', 'redrive', '--all', '--reason', 'stalled'],
      ['dlq', 'redrive', '--all', '--rate', 'fast'],
      ['dlq', 'delete'],
      ['dlq', 'list', '--reason', 'bad luck'],
      ['dlq', 'list', '--since', 'yesterday'],
      ['dlq', 'list', '--limit', '0'],
      ['dlq', 'list', '--cursor', 'x'],
      ['dlq', 'list', '-o', 'xml'],
      ['dlq', 'nonsense'],
      ['nonsense'],
    ]
    for (const args of wrong) expect([args, (await cli.run(...args)).exitCode]).toEqual([args, 64])
  })

  test('help is exit code 0, on stdout, with examples', async () => {
    for (const command of ['list', 'show', 'groups', 'stats', 'redrive', 'delete', 'export', 'import']) {
      const help = await cli.run('dlq', command, '--help')
      expect(help).toMatchObject({ exitCode: 0, stderr: '' })
      expect(help.stdout).toContain('Examples:')
    }
  })

  test('a store that does not answer is exit code 6', async () => {
    const away = createCli({ DATABASE_URL: 'postgres://x:x@127.0.0.1:1/x' })
    expect(await away.run('dlq', 'list')).toMatchObject({ exitCode: 6, stdout: '' })
    expect(await away.run('service-keys', 'list')).toMatchObject({ exitCode: 6, stdout: '' })
  })

  test('without any stores configured: exit code 1, and it says what to set', async () => {
    const lost = createCli({ DATA_DIR: folder })
    const run = await lost.run('dlq', 'list')
    expect(run).toMatchObject({ exitCode: 1 })
    expect(run.stderr).toContain('DATABASE_URL')
  })
})
