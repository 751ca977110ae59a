import type { CliContext } from '../context.ts'
import { usageError } from '../exit-codes.ts'

/** Longer than any password or private key in UTF-8. */
const MAX_BYTES = 8_192

interface PipedText {
  /** What the text is, for messages: `password`. */
  noun: string
  /** Tells the operator what to do when stdin is a terminal. */
  advice: string
}

/**
 * Reads a secret from a pipe: all of stdin but the newline at its end. On a command line it would be visible to others.
 *
 * @throws CliError `usage` when stdin is a terminal, too long or no UTF-8.
 */
export async function readPiped({ terminal }: CliContext, { noun, advice }: PipedText): Promise<string> {
  const { stdin } = terminal
  if (stdin.isTTY) throw usageError(advice)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > MAX_BYTES) throw usageError(`Nothing was changed. The ${noun} is too long.`)
    chunks.push(part)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
      .decode(Buffer.concat(chunks))
      .replace(/\r?\n$/, '')
  } catch {
    throw usageError(`Nothing was changed. The ${noun} is not UTF-8.`)
  }
}
