import { text } from 'node:stream/consumers'
import { usageError } from '../exit-codes.ts'
import type { Input } from '../terminal/terminal.ts'

/** Ids of entries or events from the command line. A `-` stands for the ids on stdin, separated by white space. */
export async function readIds(given: readonly string[], stdin: Input): Promise<string[]> {
  if (!given.includes('-')) return [...given]
  if (stdin.isTTY)
    throw usageError('A - reads ids from a pipe: tidings dlq list -o id | tidings dlq redrive -')
  const piped = (await text(stdin)).split(/\s+/).filter((id) => id !== '')
  return [...given.filter((id) => id !== '-'), ...piped]
}
