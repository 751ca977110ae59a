import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { describe, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { CLI_COMMAND, createCli, linesOf } from './testing/cli-process.ts'
import { hasTerminals, openTerminal } from './testing/terminal-session.ts'

const cli = createCli({})

/** Whether the program is on the PATH. */
const hasProgram = (name: string) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0

describe('completion and manual', () => {
  const releaser = useReleaser()
  async function writeScript(shell: string) {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-completion-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    const script = join(folder, `tidings.${shell}`)
    await writeFile(script, (await cli.run('completion', shell)).stdout)
    return { folder, script }
  }

  test('bash completes commands, options and fixed values', async () => {
    const { script } = await writeScript('bash')
    const complete = (...words: string[]) =>
      execFileSync('bash', [
        '-c',
        `source "$1"; shift; COMP_WORDS=(tidings "$@"); COMP_CWORD=$#; _tidings_complete; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        script,
        ...words,
      ]).toString()
    expect(linesOf(complete('dl'))).toEqual(['dlq'])
    expect(linesOf(complete('dlq', 're'))).toEqual(['redrive'])
    expect(linesOf(complete('dlq', 'redrive', '--can'))).toEqual(['--canary'])
    expect(linesOf(complete('dlq', 'list', '--reason', 'st'))).toEqual(['stalled'])
    expect(linesOf(complete('dlq', 'list', '-o', 'n'))).toEqual(['ndjson'])
  })

  const hasZsh = hasProgram('zsh') && hasTerminals()
  test.skipIf(!hasZsh)(
    `zsh completes them too${hasZsh ? '' : ': NO zsh OR NO script ON THE PATH'}`,
    async () => {
      const { folder, script } = await writeScript('zsh')
      const session = openTerminal(['zsh', '-f', '-i'], { PATH: process.env.PATH, HOME: folder })
      // The terminal shows the line while it is edited. Only the command prints the completed one.
      session.type(`tidings() { print -r -- "GOT" "$*." }; source ${script}; PROMPT='READ''Y> '\n`)
      await session.answer('READY> ', 'tidings dl\tred\t--can\t\n')
      await session.shows('GOT dlq redrive --canary.')
      session.type('tidings dlq list --reason sta\t\n')
      await session.shows('GOT dlq list --reason stalled.')
      session.type('exit\n')
      expect(await session.ended).toBe(0)
    },
  )

  const hasFish = hasProgram('fish')
  test.skipIf(!hasFish)(`fish completes them too${hasFish ? '' : ': NO fish ON THE PATH'}`, async () => {
    const { folder, script } = await writeScript('fish')
    const complete = (line: string) =>
      linesOf(
        execFileSync('fish', ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', script, line], {
          env: { PATH: process.env.PATH, HOME: folder },
        }).toString(),
      ).map((candidate) => candidate.split('\t')[0])
    expect(complete('tidings dl')).toEqual(['dlq'])
    expect(complete('tidings dlq re')).toEqual(['redrive'])
    expect(complete('tidings dlq redrive --can')).toEqual(['--canary'])
    expect(complete('tidings dlq list --reason st')).toEqual(['stalled'])
    expect(complete('tidings dlq list -o n')).toEqual(['ndjson'])
  })

  test('every command is in the manual with its options and examples, and in each completion script', async () => {
    const manual = (await cli.run('manual')).stdout
    for (const command of [
      'DLQ REDRIVE',
      'DLQ STATS',
      'STATUS',
      'USERS ERASE',
      'SERVICE-KEYS CREATE',
      'DOCTOR',
    ])
      expect(manual).toContain(`TIDINGS ${command}\n`)
    expect(manual).toContain('--abort-on-failure-ratio')
    expect(manual).toContain('tidings dlq redrive --all --dry-run')
    for (const shell of ['bash', 'zsh', 'fish'])
      expect((await cli.run('completion', shell)).stdout).toContain('abort-on-failure-ratio')
  })

  test('help shows the help of a nested command, and refuses an unknown one', async () => {
    const shown = await cli.run('help', 'dlq', 'show')
    expect(shown).toEqual(await cli.run('dlq', 'show', '--help'))
    expect(await cli.run('help')).toEqual(await cli.run('--help'))
    expect(await cli.run('help', 'dlq', 'shwo')).toMatchObject({
      exitCode: 64,
      stderr: 'tidings: There is no command dlq shwo. See tidings --help.\n',
    })
  })

  test('--version prints the version of the package', async () => {
    expect(await cli.run('--version')).toMatchObject({ exitCode: 0, stdout: `${manifest.version}\n` })
  })

  test('every help fits 80 columns, except example commands', async () => {
    const manual = (await cli.run('manual', '--format', 'markdown')).stdout
    const commands = [...manual.matchAll(/^## tidings ?(.*)$/gm)].map((match) => match[1] ?? '')
    expect(commands).toContain('dlq redrive')
    for (const command of commands) {
      const { stdout } = await cli.run('help', ...command.split(' ').filter(Boolean))
      for (const line of linesOf(stdout))
        if (!line.startsWith('  ')) expect(line.length, line).toBeLessThanOrEqual(80)
    }
  })

  test('help shows default durations with their unit', async () => {
    expect((await cli.run('dlq', 'redrive', '--help')).stdout).toMatch(
      /--timeout <duration>[^(]*\(default: 2m\)/,
    )
    expect((await cli.run('dlq', 'stats', '--help')).stdout).toMatch(
      /--interval <duration>[^(]*\(default: 2s\)/,
    )
  })

  test('docs/tidings-manual.md is up to date; otherwise run npm run docs:manual', async () => {
    const page = await readFile(new URL('../../../docs/tidings-manual.md', import.meta.url), 'utf8')
    expect(page).toBe((await cli.run('manual', '--format', 'markdown')).stdout)
  })
})

describe('bin/tidings', () => {
  const releaser = useReleaser()
  const makeFolder = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-bin-'))
    releaser.onRelease(() => rm(folder, { recursive: true }))
    return folder
  }
  const run = (command: string, args: string[], path: string) =>
    execFileSync(command, args, { cwd: '/', encoding: 'utf8', env: { PATH: path } })

  test('runs from another folder through links on the PATH', async () => {
    const folder = await makeFolder()
    await symlink(CLI_COMMAND, join(folder, 'first'))
    await symlink('first', join(folder, 'tidings'))
    const help = run('tidings', ['--help'], `${folder}:${process.env.PATH}`)
    expect(help).toContain('Usage: tidings')
  })

  test('the commands of docs/dead-letters.md put it on the PATH', async () => {
    const page = await readFile(new URL('../../../docs/dead-letters.md', import.meta.url), 'utf8')
    const [, script = ''] = /## On the PATH\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(page) ?? []
    expect(script).toContain('tidings doctor')
    const home = await makeFolder()
    const help = execFileSync('sh', ['-ec', script.replace('tidings doctor', 'tidings --help')], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      encoding: 'utf8',
      env: { HOME: home, PATH: `${join(home, '.local/bin')}:${process.env.PATH}` },
    })
    expect(help).toContain('Usage: tidings')
  })

  test('says when nothing is installed; prefers the Node of the project to the one on the PATH; passes all arguments', async () => {
    const folder = await makeFolder()
    for (const part of ['bin', 'src']) await mkdir(join(folder, 'apps/cli', part), { recursive: true })
    const launcher = join(folder, 'apps/cli/bin/tidings')
    await copyFile(CLI_COMMAND, launcher)
    const told = 'JSON.stringify({ node: process.argv0, args: process.argv.slice(2) })'
    await writeFile(join(folder, 'apps/cli/src/main.ts'), `process.stdout.write(${told})`)
    expect(spawnSync(launcher, { encoding: 'utf8' })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Nothing is installed yet: run `npm start`'),
    })

    await mkdir(join(folder, 'apps/cli/node_modules'))
    const args = ['dlq', 'list', '--error', "it's * two words"]
    const path = `${dirname(process.execPath)}:${process.env.PATH}`
    expect(JSON.parse(run(launcher, args, path))).toEqual({ node: 'node', args })

    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true })
    await symlink(process.execPath, join(folder, 'node_modules/.bin/node'))
    const { node } = JSON.parse(run(launcher, args, path))
    expect(resolve(node)).toBe(join(await realpath(folder), 'node_modules/.bin/node'))
  })
})

test('help loads neither the queue nor the query builder, which take longer than most commands', async () => {
  const hook = `import { registerHooks } from 'node:module'
    registerHooks({ load: (url, context, next) => (process.stderr.write(url + '\\n'), next(url, context)) })`
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const { stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, main, '--help'],
    { env: cli.env, maxBuffer: 10_000_000 },
  )
  const loaded = linesOf(stderr)
  expect(loaded.some((url) => url.includes('/commander'))).toBe(true)
  expect(loaded.filter((url) => /\/node_modules\/(bullmq|ioredis|drizzle-orm\/pg-core)\//.test(url))).toEqual(
    [],
  )
})

describe('the terminal', () => {
  test('output into a pipe has no escape sequences', async () => {
    for (const env of [{}, { NO_COLOR: '1' }])
      expect((await createCli(env).run('dlq', '--help')).stdout).not.toContain('\u001b')
    const help = await createCli({ FORCE_COLOR: '' }).start('dlq', '--help').ended
    expect(help.stdout).not.toContain('\u001b')
  })
  test('a closed stderr is no failure', async () => {
    const JWT_KEYS = (await cli.run('keys', 'generate')).stdout
    const { env } = createCli({ JWT_KEYS, DATABASE_URL: 'postgres://127.0.0.1:1/none' })
    // The command writes to stderr before and after it tries to reach the database.
    const script = `{ '${CLI_COMMAND}' keys rotate 2>&1 >/dev/null; echo $? >&3; } | true`
    const { stdout } = await promisify(execFile)('sh', ['-c', `{ ${script}; } 3>&1`], { env })
    expect(stdout.trim()).toBe('0')
  })
})
