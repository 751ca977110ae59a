import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { COMPILE_CACHE } from '@tidings/stack/dev/compile-cache'
import { wantsColors } from '../env.ts'
import { runProgram } from '../run-program.ts'
import { createTerminal } from '../terminal/terminal.ts'

/** The command that a shell starts. It replaces itself by Node, so that signals arrive. */
export const CLI_COMMAND = fileURLToPath(new URL('../../bin/tidings', import.meta.url))

export interface CliRun {
  exitCode: number | null
  stdout: string
  stderr: string
}

export interface CliProcess {
  child: ChildProcess
  ended: Promise<CliRun>
}

/** Runs commands, never on a terminal. */
export interface Cli {
  /** Runs the program in this process: starting another one takes longer than most commands. */
  run(...args: string[]): Promise<CliRun>
  /** As run, with `input` on stdin. */
  pipe(input: string, ...args: string[]): Promise<CliRun>
  /** Starts a process, as a shell does, for tests of signals and exit codes. */
  start(...args: string[]): CliProcess
  env: NodeJS.ProcessEnv
}

export function createCli(env: Record<string, string>): Cli {
  const whole: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    TZ: 'UTC',
    ...COMPILE_CACHE,
    ...env,
  }
  return {
    env: whole,
    run: (...args) => runHere(whole, args, ''),
    pipe: (input, ...args) => runHere(whole, args, input),
    start: (...args) => startProcess(whole, args),
  }
}

async function runHere(env: NodeJS.ProcessEnv, args: readonly string[], input: string): Promise<CliRun> {
  const stdin = Readable.from([Buffer.from(input)])
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const terminal = createTerminal({ stdin, stdout, stderr }, wantsColors(env, args))
  const ended = runProgram(args, terminal, env, { onInterrupt: () => undefined }).finally(() => {
    stdout.end()
    stderr.end()
  })
  const [exitCode, out, err] = await Promise.all([ended, text(stdout), text(stderr)])
  return { exitCode, stdout: out, stderr: err }
}

function startProcess(env: NodeJS.ProcessEnv, args: readonly string[]): CliProcess {
  const child = spawn(CLI_COMMAND, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]).then(
    ([stdout, stderr]) => ({ stdout, stderr, exitCode: child.exitCode }),
  )
  return { child, ended }
}

/** The lines of an output that are not empty. */
export const linesOf = (output: string) => output.split('\n').filter((line) => line !== '')
