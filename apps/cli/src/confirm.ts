import { confirm, isCancel, text } from '@clack/prompts'
import type { CliContext } from './context.ts'
import { CliError, EXIT } from './exit-codes.ts'

const declined = () => new CliError(EXIT.declined, 'Nothing was changed.')

/**
 * Asks y/N on the terminal; no is the default.
 *
 * @throws CliError `declined` on no, on Ctrl-C, and when there is nobody to ask.
 */
export async function askToGoOn(context: CliContext, question: string): Promise<void> {
  const { stdin, stderr } = requireTerminal(context)
  const answer = await confirm({ message: question, initialValue: false, input: stdin, output: stderr })
  if (isCancel(answer) || !answer) throw declined()
}

/** As askToGoOn, for what cannot be undone: the name must be typed. */
export async function askForName(context: CliContext, question: string, name: string): Promise<void> {
  const { stdin, stderr } = requireTerminal(context)
  const answer = await text({ message: question, placeholder: name, input: stdin, output: stderr })
  if (isCancel(answer) || answer !== name) throw declined()
}

function requireTerminal({ terminal }: CliContext) {
  if (!terminal.isInteractive) {
    throw new CliError(
      EXIT.declined,
      'Nothing was changed: there is no terminal to ask on. Add --yes to go on.',
    )
  }
  return terminal
}
