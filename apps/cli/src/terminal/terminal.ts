import type { Readable, Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'

/** A terminal, a pipe or a file, as a process has them. */
export type Input = Readable & { isTTY?: boolean }
export type Output = Writable & { isTTY?: boolean; columns?: number }

/** Where a command reads and writes. Data goes to stdout, everything said about it to stderr. */
export interface Terminal {
  stdin: Input
  stdout: Output
  stderr: Output
  /** A person can be asked. */
  isInteractive: boolean
  /** Width of stdout in columns; undefined when it is no terminal. */
  width: number | undefined
  /** Whether stdout, or stderr, may carry colour. */
  colors: { stdout: boolean; stderr: boolean }
  /**
   * Writes to stdout; resolves when the reader took it, so that a slow pipe slows the command down. Also when there
   * is no reader any more: that is an interruption, and no failure of what the command does.
   */
  write(text: string): Promise<void>
  /** One line to stderr. */
  say(line: string): void
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
    say: (line) => void stderr.write(`${colored.stderr ? line : stripVTControlCharacters(line)}\n`),
  }
}

/** Whether whoever read from a pipe has gone. */
export const isBrokenPipe = (error: Error): boolean => 'code' in error && error.code === 'EPIPE'
