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
  /** Asks the process to end in an orderly way. */
  stopSignal: 'TERM' | 'INT'
  /** Opens a channel for messages to a program that runs on Node. */
  ipc?: boolean
}

export type GuardedProcess = ChildProcess & { pid: number }

// A shell that waits for a word from its parent. When the parent ends instead, even by SIGKILL, the pipe closes
// without a word, and the shell stops the process that the parent can no longer stop.
const GUARD = 'read -r word; [ "$word" = done ] || { kill -s "$2" "$1"; kill -s CONT "$1"; } 2>/dev/null'

/**
 * Spawns a process that ends when this process ends, for whatever reason. It has its own session: Ctrl-C in the terminal
 * reaches only us, and we decide in which order the processes stop.
 *
 * @throws when the program cannot be started at all.
 */
export async function spawnGuarded(
  command: string,
  args: readonly string[],
  options: GuardedSpawnOptions,
): Promise<GuardedProcess> {
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
    // There is no shell. The process may then outlive us; the next start finds and stops it.
  })
  guard.unref()
  // A broken pipe means that the guard has ended already.
  guard.stdin.on('error', () => {})
  const pipe = guard.stdin as Socket
  pipe.unref()
  child.once('exit', () => guard.stdin.end('done\n'))
  return child
}

const hasPid = (child: ChildProcess): child is GuardedProcess => child.pid !== undefined

/** Tells whether the process has not ended yet. */
export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** Sends a signal and waits for the end of the process. Sends SIGKILL after `limitMs`. */
export async function endProcess(
  child: ChildProcess,
  signal: NodeJS.Signals,
  limitMs: number,
): Promise<void> {
  if (!isRunning(child)) return
  const ended = once(child, 'exit')
  child.kill(signal)
  // A suspended process receives the signal only when it is resumed.
  child.kill('SIGCONT')
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs)
  await ended
  clearTimeout(timer)
}
