import type { Readable, Writable } from 'node:stream'
import { printable } from './table.ts'

/** A terminal, a pipe or a file. */
export type Input = Readable & { isTTY?: boolean }
export type Output = Writable & { isTTY?: boolean; columns?: number }

/** Where a command reads and writes. Data goes to stdout, messages go to stderr. */
export interface Terminal {
  stdin: Input
  stdout: Output
  stderr: Output
  /** Whether a command can ask a person: stdin and stderr are terminals. */
  isInteractive: boolean
  /** Width of stdout in columns, or undefined when it is no terminal. */
  width: number | undefined
  /** Whether output may be coloured, by stream. */
  colors: { stdout: boolean; stderr: boolean }
  /**
   * Writes to stdout. Resolves when the reader took the text, so that a slow pipe slows the command down. It also
   * resolves when the reader went away: that interrupts the command and is no failure.
   */
  write(text: string): Promise<void>
  /** Writes lines to stderr, without control characters: they may quote a store, a file or a producer. */
  say(lines: string): void
}

export function createTerminal(
  streams: { stdin: Input; stdout: Output; stderr: Output },
  colors: boolean,
): Terminal {
  const { stdin, stdout, stderr } = streams
  const isTty = (stream: Input | Output) => stream.isTTY === true
  const colored = { stdout: colors && isTty(stdout), stderr: colors && isTty(stderr) }
  return {
    stdin,
    stdout,
    stderr,
    isInteractive: isTty(stdin) && isTty(stderr),
    width: isTty(stdout) ? stdout.columns || 80 : undefined,
    colors: colored,
    write: (text) =>
      new Promise((resolve, reject) => {
        stdout.write(text, (error) => (error && !isBrokenPipe(error) ? reject(error) : resolve()))
      }),
    say: (lines) => void stderr.write(`${lines.split('\n').map(printable).join('\n')}\n`),
  }
}

/** Whether the error says that the reader of a pipe went away. */
export const isBrokenPipe = (error: Error): boolean => 'code' in error && error.code === 'EPIPE'
