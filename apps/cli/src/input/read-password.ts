import { isCancel, password } from '@clack/prompts'
import { assertCanAsk, declined } from '../confirm.ts'
import type { CliContext } from '../context.ts'
import { usageError } from '../exit-codes.ts'

/** Longer than any password in UTF-8. */
const MAX_BYTES = 8_192

/**
 * Asks for a new password twice, without an echo.
 *
 * @throws CliError `declined` on Ctrl-C and without a terminal; `usage` when the two differ.
 */
export async function typePassword(context: CliContext): Promise<string> {
  const { stdin, stderr } = assertCanAsk(context)
  async function ask(message: string): Promise<string> {
    const answer = await password({ message, mask: '', input: stdin, output: stderr })
    if (isCancel(answer)) throw declined()
    return answer ?? ''
  }
  const first = await ask('New password (it is not shown)')
  if ((await ask('The same again')) !== first)
    throw usageError('Nothing was changed. The two passwords differ.')
  return first
}

/**
 * Reads a password from a pipe: all of stdin but the newline at its end.
 *
 * @throws CliError `usage` when stdin is a terminal, too long or no UTF-8.
 */
export async function pipePassword({ terminal }: CliContext): Promise<string> {
  const { stdin } = terminal
  if (stdin.isTTY) throw usageError('--stdin reads a pipe. Leave it out to type the password.')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > MAX_BYTES) throw usageError('Nothing was changed. The password is too long.')
    chunks.push(part)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
      .decode(Buffer.concat(chunks))
      .replace(/\r?\n$/, '')
  } catch {
    throw usageError('Nothing was changed. The password is not UTF-8.')
  }
}
