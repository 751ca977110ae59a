import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { useEmptyCliLab } from '../../testing/cli-lab.ts'

describeBackends('the selection of tidings dlq commands', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)

  const FILTERS = [
    ...['--type', '--status', '--reason', '--notification-id', '--user-id', '--source', '--error'],
    ...['--fingerprint', '--since', '--until', '--redriven-gte'],
  ]
  const CHANGES = [
    ['delete', '--yes'],
    ['redrive', '--yes'],
    ['redrive', '--dry-run'],
  ]
  // A script whose variable is not set passes an empty value: --error "$UNSET".
  test.each(['', ' '])('an option with the value "%s" is wrong usage, never all', async (empty) => {
    await lab.bury(2)
    const commands = [
      ...FILTERS.flatMap((filter) =>
        [['list'], ['groups'], ['export'], ...CHANGES].map((command) => [...command, filter, empty]),
      ),
      ...CHANGES.map((command) => [...command, '--group', empty]),
      ...CHANGES.map((command) => [...command, '--group', empty, '--reason', 'unknown_user']),
    ]
    for (const command of commands) {
      const run = await cli.run('dlq', ...command)
      expect([command, run]).toMatchObject([command, { exitCode: 64, stdout: '' }])
    }
    expect((await cli.run('dlq', 'delete', '--error', empty, '--yes')).stderr).toContain(
      'is a variable not set?',
    )
    expect(await lab.store.count()).toBe(2)
  })

  test('an empty id is wrong usage, and nothing is changed', async () => {
    const [id = ''] = await lab.bury(2)
    const commands = [
      ['show', ''],
      ...CHANGES.flatMap((command) => [
        [...command, ''],
        [...command, id, ''],
        [...command, '', '--all'],
      ]),
    ]
    for (const command of commands) {
      const run = await cli.run('dlq', ...command)
      expect([command, run]).toMatchObject([command, { exitCode: 64, stdout: '' }])
    }
    expect(await lab.store.count()).toBe(2)
  })

  test('an unknown group is exit code 3', async () => {
    await lab.bury(2)
    for (const command of CHANGES) {
      const run = await cli.run('dlq', ...command, '--group', '0aece59f3620')
      expect([command, run]).toMatchObject([command, { exitCode: 3, stdout: '' }])
      expect(run.stderr).toContain('There is no group 0aece59f3620')
    }
    expect(await lab.store.count()).toBe(2)
  })

  test('a known group without an entry that matches the filters is exit code 0', async () => {
    await lab.bury(2)
    const group = (await cli.run('dlq', 'groups', '-o', 'id')).stdout.trim()
    for (const command of CHANGES) {
      const run = await cli.run('dlq', ...command, '--group', group, '--type', 'push')
      expect([command, run]).toMatchObject([command, { exitCode: 0, stdout: '' }])
      expect(run.stderr).toContain('No dead letter matches.')
    }
  })

  test('filters that match nothing are exit code 0, and the command says so', async () => {
    await lab.bury(2)
    for (const command of [...CHANGES, ['export']]) {
      const run = await cli.run('dlq', ...command, '--error', 'timeuot')
      expect([command, run]).toMatchObject([command, { exitCode: 0, stdout: '' }])
      expect(run.stderr).toContain('No dead letter matches.')
    }
  })

  test('an empty list of ids from a pipe is exit code 0, and the command says so', async () => {
    await lab.bury(2)
    for (const command of CHANGES) {
      const run = await cli.pipe('\n', 'dlq', ...command, '-')
      expect([command, run]).toMatchObject([command, { exitCode: 0, stdout: '' }])
      expect(run.stderr).toContain('No dead letter matches.')
    }
  })

  test('-o json prints a result also when nothing matches', async () => {
    await lab.bury(2)
    for (const selection of [['--error', 'timeuot'], ['-']])
      for (const [command, result] of [
        [['redrive', '--yes'], { matched: 0, redriven: 0, end: 'done' }],
        [['delete', '--yes'], { matched: 0, deleted: 0, end: 'done' }],
        [['redrive', '--dry-run'], { would_redrive: 0 }],
      ] as const) {
        const run = await cli.run('dlq', ...command, ...selection, '-o', 'json')
        expect([command, JSON.parse(run.stdout)]).toMatchObject([command, result])
      }
  })

  test('unknown ids are exit code 3 in a dry run too', async () => {
    const [id = ''] = await lab.bury(1)
    expect(await cli.run('dlq', 'redrive', 'dead-nope', '--dry-run')).toMatchObject({ exitCode: 3 })
    expect(await cli.run('dlq', 'redrive', 'dead-nope', id, '--dry-run')).toMatchObject({ exitCode: 0 })
  })

  test('delete without a match says that it wrote no file', async () => {
    await lab.bury(2)
    const file = join(tmpdir(), `tidings-${randomUUID()}.ndjson`)
    const run = await cli.run('dlq', 'delete', '--error', 'timeuot', '--export-first', file, '--yes')
    expect(run).toMatchObject({ exitCode: 0, stdout: '' })
    expect(run.stderr).toContain(`${file} was not written.`)
    expect(existsSync(file)).toBe(false)
    expect(await lab.audit()).toEqual([])
  })
})
