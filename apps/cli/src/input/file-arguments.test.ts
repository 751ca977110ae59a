import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'
import { type Cli, createCli } from '../testing/cli-process.ts'

describe('a file that is named on the command line', () => {
  const releaser = useReleaser()
  let lab: CliLab
  let folder: string
  /** The CLI as `npm run tidings` starts it: in the folder of package.json, not in the caller's. */
  let byNpm: Cli

  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
    folder = await mkdtemp(join(tmpdir(), 'tidings-files-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    byNpm = createCli({
      ...(lab.cli.env as Record<string, string>),
      INIT_CWD: folder,
      npm_lifecycle_event: 'tidings',
    })
  })

  test('is resolved in the folder where npm was called, and messages show its full path', async () => {
    await lab.bury(2)
    const file = join(folder, 'sub.ndjson')
    const exported = await byNpm.run('dlq', 'export', 'sub.ndjson')
    expect(exported).toMatchObject({ exitCode: 0, stderr: `Exported 2 entries to ${file}.\n` })
    const deleted = await byNpm.run('dlq', 'delete', '--all', '--yes', '--export-first', './deleted.ndjson')
    expect(deleted).toMatchObject({ exitCode: 0 })
    expect(deleted.stderr).toContain(`to ${join(folder, 'deleted.ndjson')}`)
    expect((await readdir(folder)).toSorted()).toEqual(['deleted.ndjson', 'sub.ndjson'])
    expect(await byNpm.run('dlq', 'import', 'sub.ndjson')).toMatchObject({ exitCode: 0 })
    expect(await lab.store.count()).toBe(2)
  })

  test('that does not exist is exit code 3, and the message shows its full path', async () => {
    for (const command of [
      ['dlq', 'import'],
      ['users', 'import-django'],
      ['keys', 'rotate', '--file'],
    ]) {
      const run = await byNpm.run(...command, 'absent.json')
      expect([command, run]).toMatchObject([command, { exitCode: 3, stdout: '' }])
      expect(run.stderr).toContain(join(folder, 'absent.json'))
    }
  })

  test('is resolved in the current folder when another npm script started the shell', async () => {
    const { INIT_CWD, ...env } = byNpm.env as Record<string, string>
    for (const other of [
      { ...env, INIT_CWD, npm_lifecycle_event: 'start' },
      { ...env, npm_lifecycle_event: 'tidings' },
    ])
      expect(
        (await createCli(other as Record<string, string>).run('dlq', 'import', 'absent')).stderr,
      ).toContain(`There is no file ${join(process.cwd(), 'absent')} `)
  })

  test('with an empty name is wrong usage', async () => {
    for (const args of [
      ['dlq', 'export', ''],
      ['dlq', 'import', ''],
      ['dlq', 'delete', '--all', '--yes', '--export-first', ''],
      ['users', 'import-django', ''],
      ['keys', 'rotate', '--file', ''],
    ])
      expect([args, await lab.cli.run(...args)]).toMatchObject([args, { exitCode: 64 }])
  })
})
