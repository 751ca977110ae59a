import { randomUUID } from 'node:crypto'
import { eventIdOf } from '@tidings/queue/dead-letters/entry-id'
import { LIST_SORTS, type ListSort } from '@tidings/queue/dead-letters/list'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { useEmptyCliLab } from '../../testing/cli-lab.ts'
import { linesOf } from '../../testing/cli-process.ts'

describeBackends('tidings dlq list, groups, show and stats', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)

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

  test('groups show our own words in full, and hide what a producer wrote', async () => {
    const ours =
      'status: Invalid option: expected one of "pending"|"sent"; error: expected string to have <=2000 characters'
    await lab.bury(1, { reason: 'invalid_event', error: { code: 'invalid_event', message: ours } })
    await lab.bury(2, {
      reason: 'invalid_event',
      error: { code: '22001', message: 'value "x" has 300 characters' },
    })
    const groups = JSON.parse((await cli.run('dlq', 'groups', '-o', 'json')).stdout)
    expect(groups).toMatchObject([
      { error: { message: 'value <value> has <n> characters' } },
      { error: { message: ours } },
    ])
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

  test('show lists both entries of an event that conflicted; as JSON in an array', async () => {
    const { eventId, ids } = await lab.buryConflict()
    const json = JSON.parse((await cli.run('dlq', 'show', eventId, '-o', 'json')).stdout)
    expect(json.map((entry: { id: string }) => entry.id).toSorted()).toEqual(ids.toSorted())
    const text = linesOf((await cli.run('dlq', 'show', eventId)).stdout)
    expect(text.filter((line) => line.startsWith('Entry '))).toHaveLength(2)
    const [one = ''] = ids
    expect(JSON.parse((await cli.run('dlq', 'show', one, '-o', 'json')).stdout)).toMatchObject({ id: one })
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
})
