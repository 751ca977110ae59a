import { describeBackends, useReleaser } from '@tidings/stack/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'
import type { Cli } from '../testing/cli-process.ts'

describeBackends('what tidings dlq selects', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab
  let cli: Cli

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
    cli = lab.cli
  })
  beforeEach(() => lab.empty())

  const FILTERS = [
    ...['--type', '--status', '--reason', '--notification-id', '--user-id', '--source', '--error'],
    ...['--fingerprint', '--since', '--until', '--redriven-gte'],
  ]
  const CHANGES = [
    ['delete', '--yes'],
    ['redrive', '--yes'],
    ['redrive', '--dry-run'],
  ]
  // As a script leaves it whose variable is not set: --error "$UNSET".
  test.each(['', ' '])('an option whose value is "%s" is wrong usage, never all', async (empty) => {
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

  test('an id that is empty is wrong usage, and takes nothing with it', async () => {
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
})
