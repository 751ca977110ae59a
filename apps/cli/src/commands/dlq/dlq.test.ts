import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { useEmptyCliLab } from '../../testing/cli-lab.ts'
import { createCli } from '../../testing/cli-process.ts'

describeBackends('tidings dlq', (kind) => {
  const releaser = useReleaser()
  const { lab, cli } = useEmptyCliLab(kind, releaser)

  test('without a terminal and without --yes, changes to many are refused at once: exit code 2', async () => {
    await lab.bury(2)
    for (const command of ['redrive', 'delete']) {
      const refused = await cli.run('dlq', command, '--all')
      expect(refused).toMatchObject({ exitCode: 2, stdout: '' })
      expect(refused.stderr).toContain('--yes')
    }
    expect(await lab.store.count()).toBe(2)
    expect(await lab.audit()).toEqual([])
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
    const lost = createCli({ DATA_DIR: '/nowhere' })
    const run = await lost.run('dlq', 'list')
    expect(run).toMatchObject({ exitCode: 1 })
    expect(run.stderr).toContain('DATABASE_URL')
  })
})
