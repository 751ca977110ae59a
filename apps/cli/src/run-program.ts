import { createContext, type Interruptions } from './context.ts'
import { describeFailure, EXIT, type ExitCode } from './exit-codes.ts'
import { createProgram } from './program.ts'
import type { Terminal } from './terminal/terminal.ts'

/**
 * Runs one command line to its end and closes what it opened. It touches nothing but what it is given: the
 * process and its signals are run.ts's.
 *
 * @param args without the program's name.
 */
export async function runProgram(
  args: readonly string[],
  terminal: Terminal,
  env: NodeJS.ProcessEnv,
  interruptions: Interruptions,
): Promise<ExitCode> {
  const context = createContext(terminal, env, interruptions)
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    const failure = describeFailure(error)
    if (failure.message !== undefined) terminal.say(`tidings: ${failure.message}`)
    return failure.exitCode
  } finally {
    await context.release()
  }
}
