import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'

export interface GuardedSpawnOptions {
  cwd?: string
  env: NodeJS.ProcessEnv
  uid?: number | undefined
  gid?: number | undefined
  stdout: 'pipe' | 'ignore' | number
  stderr: 'pipe' | 'ignore' | number
  /** What ends the process in an orderly way. */
  stopSignal: 'TERM' | 'INT'
  /** With a channel for messages: for programs that run on Node. */
  ipc?: boolean
}

// Waits for a word from the parent. When the parent dies instead, even by SIGKILL, the pipe closes without
// one, and the guard stops what the parent can no longer stop.
const GUARD = 'read -r word; [ "$word" = done ] || { kill -s "$2" "$1"; kill -s CONT "$1"; } 2>/dev/null'

/**
 * Starts a process in a session of its own, so that Ctrl-C in the terminal reaches only us and we decide the
 * order in which things stop. It does not outlive us, however we end.
 *
 * @throws when the program cannot be started at all.
 */
export async function spawnGuarded(
  command: string,
  args: readonly string[],
  options: GuardedSpawnOptions,
): Promise<ChildProcess & { pid: number }> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    ...(options.uid !== undefined && { uid: options.uid }),
    ...(options.gid !== undefined && { gid: options.gid }),
    stdio: ['ignore', options.stdout, options.stderr, ...(options.ipc ? (['ipc'] as const) : [])],
    detached: true,
  })
  await once(child, 'spawn')
  if (!hasPid(child)) throw new Error(`${command} did not start`)
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', String(child.pid), options.stopSignal], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {
    // No shell: then an orphan is possible, and the next start finds and stops it.
  })
  guard.unref()
  // A broken pipe means that the guard is gone already.
  guard.stdin.on('error', () => {})
  const pipe = guard.stdin as Socket
  pipe.unref()
  child.once('exit', () => guard.stdin.end('done\n'))
  return child
}

const hasPid = (child: ChildProcess): child is ChildProcess & { pid: number } => child.pid !== undefined

/** Whether the process has not ended yet. */
export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** Sends a signal and waits for the end; after `limitMs` it sends SIGKILL. */
export async function endProcess(
  child: ChildProcess,
  signal: NodeJS.Signals,
  limitMs: number,
): Promise<void> {
  if (!isRunning(child)) return
  const ended = once(child, 'exit')
  child.kill(signal)
  // A stopped (frozen) process only sees the signal once it goes on.
  child.kill('SIGCONT')
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
  await ended
  clearTimeout(timer)
}
