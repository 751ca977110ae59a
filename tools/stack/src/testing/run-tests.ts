import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { WaitTimeoutError, waitFor } from '../servers/wait-for.ts'

/*
 * npm test: the quick checks side by side, then the tests. Arguments go to vitest: npm test -- packages/db
 */
const EXPECTED_DURATION = 'about 9 minutes on two cores'
const RESULTS_FILE = 'node_modules/.cache/tidings/test-results.json'
/** PostgreSQL takes this long to stop after vitest was interrupted. */
const STRAGGLER_LIMIT_MS = 15_000

interface Command {
  title: string
  command: string
  args: string[]
}

const CHECKS: Command[] = [
  { title: 'format and lint', command: 'biome', args: ['check', '.'] },
  {
    title: 'import rules',
    command: 'depcruise',
    args: ['--config', '.dependency-cruiser.json', 'apps', 'packages', 'tools', 'chaos', 'bench'],
  },
  { title: 'unused code', command: 'knip', args: ['--no-progress'] },
  { title: 'types', command: 'tsc', args: ['--noEmit'] },
]

const running = new Set<ChildProcess>()
let interruption: NodeJS.Signals | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    interruption ??= signal
    for (const child of running) child.kill(signal)
  })

const say = (line: string) => void process.stderr.write(`${line}\n`)

/** Waits until the process has ended. Returns its exit code. */
async function waitForExit(child: ChildProcess): Promise<number> {
  running.add(child)
  // The signal came before the process was known.
  if (interruption) child.kill(interruption)
  const [code, signal] = await once(child, 'exit')
  running.delete(child)
  return code ?? 128 + constants.signals[signal as NodeJS.Signals]
}

/** Runs one check and prints its output when it fails. */
async function passes({ title, command, args }: Command): Promise<boolean> {
  const startedAt = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  const code = await waitForExit(child)
  if (interruption) return false
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
  if (code === 0) say(`  ok: ${title} (${seconds} s)`)
  else say(`\n${(await output).join('')}\nFailed: ${title} (${[command, ...args].join(' ')})\n`)
  return code === 0
}

/** Runs vitest. Everything that it leaves in the temporary folder is removed, however it ends. */
async function runVitest(args: readonly string[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'tidings-run-'))
  try {
    // Some tests run programs as another user, who must be able to enter folders in here.
    await chmod(folder, 0o711)
    const child = spawn('vitest', ['run', ...args], {
      // Without a terminal as its input, vitest leaves Ctrl-C to us.
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, TMPDIR: folder },
    })
    const code = await waitForExit(child)
    if (code !== 0) await waitForStragglers(folder)
    return code
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  }
}

/** Waits for servers in the folder that have been told to stop. An interrupted vitest does not wait for them. */
async function waitForStragglers(folder: string): Promise<void> {
  const list = () =>
    execFileSync('ps', ['-eww', '-o', 'args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(folder))
  await waitFor('the servers to stop', () => list().length === 0, {
    timeoutMs: STRAGGLER_LIMIT_MS,
    explain: () => list().join('\n'),
  }).catch((error: unknown) => {
    if (!(error instanceof WaitTimeoutError)) throw error
    say(error.message)
  })
}

async function main(args: readonly string[]): Promise<number> {
  if (args.length === 0) say(`\nAll checks and tests: ${EXPECTED_DURATION}.`)
  const passed = await Promise.all(CHECKS.map(passes))
  if (interruption) return interrupted(interruption)
  if (passed.includes(false)) return 1
  // The coverage of a part says nothing, and measuring it takes a tenth of the processor time: only CI does.
  const coverage = args.length === 0 && process.env.CI ? ['--coverage'] : []
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${RESULTS_FILE}`]
  const code = await runVitest([...reporters, ...coverage, ...args])
  return interruption ? interrupted(interruption) : code
}

function interrupted(signal: NodeJS.Signals): number {
  say('\nInterrupted.')
  return 128 + constants.signals[signal]
}

process.exit(await main(process.argv.slice(2)))
