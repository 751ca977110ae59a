import { confirm, isCancel, text } from '@clack/prompts'
import type { CliContext } from './context.ts'
import { CliError, EXIT } from './exit-codes.ts'
import type { Terminal } from './terminal/terminal.ts'

export const declined = () => new CliError(EXIT.declined, 'Nothing was changed.')

/**
 * Refuses a change that needs an answer when there is no terminal to ask on.
 *
 * @throws CliError `declined`.
 */
export function assertCanAsk({ terminal }: CliContext): Terminal {
  if (terminal.isInteractive) return terminal
  throw new CliError(
    EXIT.declined,
    'Nothing was changed: there is no terminal to ask on. Add --yes to go on.',
  )
}

/**
 * Asks a yes/no question. The default answer is no.
 *
 * @throws CliError `declined` on no, on Ctrl-C, and without a terminal.
 */
export async function askToGoOn(context: CliContext, question: string): Promise<void> {
  const { stdin, stderr } = assertCanAsk(context)
  const answer = await confirm({ message: question, initialValue: false, input: stdin, output: stderr })
  if (isCancel(answer) || !answer) throw declined()
}

/** As askForName, for the address of a user. It is not shown, and upper and lower case are equal. */
export async function askForAddress(context: CliContext, question: string, address: string): Promise<void> {
  const { stdin, stderr } = assertCanAsk(context)
  const answer = await text({ message: question, input: stdin, output: stderr })
  if (isCancel(answer) || answer?.trim().toLowerCase() !== address.toLowerCase()) throw declined()
}

/** As askToGoOn, for changes that cannot be undone: the operator types the name. */
export async function askForName(context: CliContext, question: string, name: string): Promise<void> {
  const { stdin, stderr } = assertCanAsk(context)
  const answer = await text({ message: question, placeholder: name, input: stdin, output: stderr })
  if (isCancel(answer) || answer !== name) throw declined()
}
