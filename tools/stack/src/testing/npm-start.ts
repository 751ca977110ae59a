import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Releaser } from '../releaser.ts'
import { isRunning } from '../servers/guarded-process.ts'
import { isAlive } from '../servers/is-alive.ts'
import { waitFor } from '../servers/wait-for.ts'

/** An `npm start` in its own process group, as a terminal would run it. */
export interface NpmStart {
  child: ChildProcess & { pid: number }
  /** All that it printed. */
  output(): string
  exited: Promise<number | null>
}

/** Runs `npm start` in a folder, with this environment and no other. It is stopped at the end. */
export function runNpmStart(folder: string, env: NodeJS.ProcessEnv, releaser: Releaser): NpmStart {
  const child = spawn('npm', ['start'], {
    cwd: folder,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (child.pid === undefined) throw new Error('npm did not start')
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  releaser.onRelease(() => {
    if (isRunning(child)) child.kill('SIGTERM')
    return exited.then(() => {})
  })
  return { child: child as NpmStart['child'], output: () => output, exited }
}

/**
 * Waits until the API is ready and the banner is printed. Returns the milliseconds until the API was ready.
 *
 * @throws when npm start ends instead, or is not ready in time.
 */
export async function waitUntilReady(run: NpmStart, apiUrl: string, timeoutMs: number): Promise<number> {
  const startedAt = performance.now()
  await waitFor(
    'npm start to be ready',
    async () => !isRunning(run.child) || (await fetch(`${apiUrl}/health/ready`)).ok,
    { timeoutMs, explain: run.output },
  )
  if (!isRunning(run.child)) throw new Error(`npm start ended:\n${run.output()}`)
  const ms = Math.round(performance.now() - startedAt)
  await waitFor('the banner', () => run.output().includes('Ctrl-C stops everything'))
  return ms
}

/**
 * Stops an npm start with `stop` and waits until each of its processes has ended. Returns how many there were.
 *
 * @throws when one goes on.
 */
export async function stopCompletely(run: NpmStart, stop: () => void): Promise<number> {
  const pids = listDescendants(run.child.pid)
  stop()
  await waitFor('npm start to end', () => !isRunning(run.child), {
    timeoutMs: 30_000,
    explain: run.output,
  })
  // npm may end a moment before the other processes.
  const left = () => pids.filter(isAlive)
  await waitFor('every process to end', () => left().length === 0, {
    timeoutMs: 20_000,
    explain: () => String(left()),
  })
  return pids.length
}

/** Returns the ids of a process and of its children, and theirs. */
function listDescendants(pid: number): number[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
  const pairs = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  const found = [pid]
  for (let index = 0; index < found.length; index++)
    for (const [child, parent] of pairs) if (parent === found[index] && child !== undefined) found.push(child)
  return found
}
