import { isCancel, password } from '@clack/prompts'
import { assertCanAsk, declined } from '../confirm.ts'
import type { CliContext } from '../context.ts'
import { usageError } from '../exit-codes.ts'
import { readPiped } from './read-piped.ts'

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

/** Reads a password from a pipe; see readPiped. */
export const pipePassword = (context: CliContext): Promise<string> =>
  readPiped(context, {
    noun: 'password',
    advice: '--stdin reads a pipe. Leave it out to type the password.',
  })
