import { createContext } from './context.ts'
import { describeFailure, EXIT, type ExitCode } from './exit-codes.ts'
import type { Interruptions } from './interruptions.ts'
import { createProgram } from './program.ts'
import type { Terminal } from './terminal/terminal.ts'

/**
 * Runs one command line to its end and closes the stores it opened. It uses only its arguments, never the process:
 * tests run many at once.
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
    return context.isIncomplete ? EXIT.partial : EXIT.ok
  } catch (error) {
    const failure = describeFailure(error)
    if (failure.message !== undefined) terminal.say(`tidings: ${failure.message}`)
    // The event may be among the dead letters that could not be read.
    return context.isIncomplete && failure.exitCode === EXIT.notFound ? EXIT.unreachable : failure.exitCode
  } finally {
    await context.release()
  }
}
