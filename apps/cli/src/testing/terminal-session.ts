import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitFor } from '@tidings/stack/servers/wait-for'

export interface TerminalSize {
  columns: number
  rows: number
}

/** A program that runs on a terminal. */
export interface TerminalSession {
  /** Everything written to the terminal so far, escape sequences included. */
  output(): string
  /** Waits until the terminal has shown the text. */
  shows(text: string): Promise<void>
  type(keys: string): void
  /** Waits until the terminal has shown the text, then types. */
  answer(prompt: string, keys: string): Promise<void>
  /** The program's exit code. */
  ended: Promise<number | null>
}

/** Whether this machine has `script` of util-linux, which openTerminal needs. Others take other options. */
export function hasTerminals(): boolean {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8', stdio: 'pipe' }).includes('util-linux')
  } catch {
    return false
  }
}

const PROMPT_LIMIT_MS = 60_000

/** Runs a program on a new terminal. */
export function openTerminal(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  { columns, rows }: TerminalSize = { columns: 110, rows: 40 },
): TerminalSession {
  const line = `stty cols ${columns} rows ${rows}; exec ${command.map(quote).join(' ')}`
  const child = spawn('script', ['-qefc', line, '/dev/null'], {
    env: { ...env, TERM: 'xterm-256color', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    output += part
  })
  const shows = async (text: string) =>
    void (await waitFor(`the terminal to show "${text}"`, () => output.includes(text), {
      timeoutMs: PROMPT_LIMIT_MS,
      explain: () => output.slice(-500),
    }))
  const type = (keys: string) => void child.stdin.write(keys)
  return {
    output: () => output,
    shows,
    type,
    async answer(prompt, keys) {
      await shows(prompt)
      type(keys)
    },
    ended: once(child, 'close').then(() => child.exitCode),
  }
}

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
