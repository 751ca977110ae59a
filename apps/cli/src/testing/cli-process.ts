import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { COMPILE_CACHE } from '@tidings/stack/dev/compile-cache'
import { wantsColors } from '../env.ts'
import { runProgram } from '../run-program.ts'
import { createTerminal } from '../terminal/terminal.ts'
import { runOnFakeTerminal, type TerminalRun, type TerminalRunOptions } from './fake-terminal.ts'

/** The command that a shell starts. It replaces itself by Node, so that signals arrive. */
export const CLI_COMMAND = fileURLToPath(new URL('../../bin/tidings', import.meta.url))

interface CliRun {
  exitCode: number | null
  stdout: string
  stderr: string
}

interface CliProcess {
  child: ChildProcess
  ended: Promise<CliRun>
}

/** A command that runs in this process. */
interface RunningCommand {
  /** Interrupts the command as Ctrl-C does. */
  interrupt(): void
  ended: Promise<CliRun>
}

/** Runs commands. */
export interface Cli {
  /** Runs the program in this process: starting another one takes longer than most commands. */
  run(...args: string[]): Promise<CliRun>
  /** As run, with `input` on stdin. */
  pipe(input: string, ...args: string[]): Promise<CliRun>
  /** As run, for a command that the test interrupts. */
  begin(...args: string[]): RunningCommand
  /** Runs the program in this process on a terminal that the test plays. */
  runOnTerminal(args: readonly string[], options?: TerminalRunOptions): Promise<TerminalRun>
  /** Starts a process, as a shell does, for tests that kill it. */
  start(...args: string[]): CliProcess
  env: NodeJS.ProcessEnv
}

export function createCli(variables: Record<string, string>): Cli {
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    TZ: 'UTC',
    ...COMPILE_CACHE,
    ...variables,
  }
  return {
    env,
    run: (...args) => beginHere(env, args, '').ended,
    pipe: (input, ...args) => beginHere(env, args, input).ended,
    begin: (...args) => beginHere(env, args, ''),
    runOnTerminal: (args, options) => runOnFakeTerminal(env, args, options),
    start: (...args) => startProcess(env, args),
  }
}

function beginHere(env: NodeJS.ProcessEnv, args: readonly string[], input: string): RunningCommand {
  const stdin = Readable.from([Buffer.from(input)])
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const terminal = createTerminal({ stdin, stdout, stderr }, wantsColors(env, args))
  let interrupt = () => {}
  const exited = runProgram(args, terminal, env, {
    onInterrupt(listener) {
      interrupt = listener
    },
  }).finally(() => {
    stdout.end()
    stderr.end()
  })
  const ended = Promise.all([exited, text(stdout), text(stderr)]).then(([exitCode, out, err]) => ({
    exitCode,
    stdout: out,
    stderr: err,
  }))
  return { interrupt: () => interrupt(), ended }
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
