import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { APP_NODE_ARGS } from '@tidings/stack/dev/app-process'
import { endProcess, isRunning, spawnGuarded } from '@tidings/stack/servers/guarded-process'
import { withLogFile } from '@tidings/stack/servers/with-log-file'
import { childEnv } from './env.ts'

const START_LIMIT_MS = 30_000
const STOP_LIMIT_MS = 12_000

/** A process under test. */
export interface RunningProcess {
  /** `api`, `worker`, … */
  role: string
  pid: number
  stop(): Promise<void>
}

/**
 * Starts a peer or ceiling and waits for its ready message. Its output goes to a file: the cost of logging is part of
 * the measurement. It ends when this process ends.
 *
 * @throws when it is not ready within 30 s.
 */
export async function startServer(
  role: string,
  script: string,
  env: NodeJS.ProcessEnv,
  logFile: string,
): Promise<RunningProcess> {
  const child = await forkScript(script, [], env, logFile)
  try {
    await messageOf(child, START_LIMIT_MS, `${script} to get ready; see ${logFile}`)
  } catch (error) {
    await endProcess(child, 'SIGKILL', STOP_LIMIT_MS)
    throw error
  }
  return toRunning(role, child)
}

/** Starts an app that sends no ready message. The caller waits until it is ready. */
export async function startApp(
  role: string,
  script: string,
  env: NodeJS.ProcessEnv,
  logFile: string,
): Promise<RunningProcess> {
  const child = await withLogFile(logFile, (fd) =>
    spawnGuarded(process.execPath, [...APP_NODE_ARGS, script], {
      env: childEnv(env),
      stdout: fd,
      stderr: fd,
      stopSignal: 'TERM',
    }),
  )
  return toRunning(role, child)
}

/** Runs a script that sends one message and ends. Returns the message. */
export async function forkForResult<Result>(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  limitMs: number,
  message?: object,
): Promise<Result> {
  const child = await forkScript(script, args, env, undefined)
  try {
    if (message !== undefined) child.send(message)
    return (await messageOf(child, limitMs, `${script} to finish`)) as Result
  } finally {
    if (isRunning(child)) await endProcess(child, 'SIGTERM', STOP_LIMIT_MS)
  }
}

async function forkScript(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  logFile: string | undefined,
): Promise<ChildProcess> {
  const forkWith = async (output: number | 'inherit') => {
    const child = fork(script, [...args], {
      env: childEnv(env),
      stdio: ['ignore', output, output, 'ipc'],
    })
    await once(child, 'spawn')
    return child
  }
  return logFile === undefined ? forkWith('inherit') : withLogFile(logFile, forkWith)
}

async function messageOf(child: ChildProcess, limitMs: number, what: string): Promise<unknown> {
  const limit = AbortSignal.timeout(limitMs)
  const ended = new AbortController()
  child.once('exit', () => ended.abort())
  try {
    const [message] = await once(child, 'message', { signal: AbortSignal.any([limit, ended.signal]) })
    return message
  } catch {
    throw new Error(`Gave up waiting for ${what}: ${limit.aborted ? 'too slow' : 'the process ended'}`)
  }
}

function toRunning(role: string, child: ChildProcess): RunningProcess {
  if (child.pid === undefined) throw new Error(`${role} did not start`)
  return { role, pid: child.pid, stop: () => endProcess(child, 'SIGTERM', STOP_LIMIT_MS) }
}
