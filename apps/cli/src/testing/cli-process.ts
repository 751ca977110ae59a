import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { COMPILE_CACHE } from '@tidings/stack/compile-cache'

/** As `pnpm tidings` has them: a small young generation keeps a walk through 200,000 entries under 200 MB. */
const NODE_FLAGS = ['--max-semi-space-size=4']
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

export interface CliRun {
  exitCode: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface CliProcess {
  child: ChildProcess
  ended: Promise<CliRun>
}

/** Runs commands as a shell would: the real program, in a process of its own, without a terminal. */
export interface Cli {
  run(...args: string[]): Promise<CliRun>
  /** The same with something on stdin. */
  pipe(input: string, ...args: string[]): Promise<CliRun>
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
  const start = (args: readonly string[], stdin: 'ignore' | 'pipe'): CliProcess => {
    const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, ...args], {
      env: whole,
      stdio: [stdin, 'pipe', 'pipe'],
    })
    const ended = Promise.all([
      child.stdout ? text(child.stdout) : '',
      child.stderr ? text(child.stderr) : '',
      once(child, 'exit'),
    ]).then(([stdout, stderr]) => ({
      stdout,
      stderr,
      exitCode: child.exitCode,
      signal: child.signalCode,
    }))
    return { child, ended }
  }
  return {
    env: whole,
    run: (...args) => start(args, 'ignore').ended,
    pipe(input, ...args) {
      const { child, ended } = start(args, 'pipe')
      child.stdin?.end(input)
      return ended
    },
    start: (...args) => start(args, 'ignore'),
  }
}

/** Lines of an output, without the last, empty one. */
export const linesOf = (output: string) => output.split('\n').filter((line) => line !== '')
