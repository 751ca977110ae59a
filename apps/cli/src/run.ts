import { createContext } from './context.ts'
import { wantsColors } from './env.ts'
import { describeFailure, EXIT, type ExitCode } from './exit-codes.ts'
import { createProgram } from './program.ts'
import { createTerminal } from './terminal.ts'

const terminal = createTerminal(process, wantsColors(process.env, process.argv))

const interruptListeners: (() => void)[] = []
let interrupted = false
const interrupt = (signal: 'SIGINT' | 'SIGTERM') => {
  if (interrupted || interruptListeners.length === 0) process.exit(signal === 'SIGINT' ? 130 : 143)
  interrupted = true
  for (const listener of interruptListeners) listener()
}
process.on('SIGINT', () => interrupt('SIGINT'))
process.on('SIGTERM', () => interrupt('SIGTERM'))
// The reader of a pipe went away, as `| head` does: that is an end, not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok)
})

const context = createContext(terminal, process.env, {
  onInterrupt: (listener) => void interruptListeners.push(listener),
})
let exitCode: ExitCode = EXIT.ok
try {
  await createProgram(context).parseAsync(process.argv)
} catch (error) {
  const failure = describeFailure(error)
  exitCode = failure.exitCode
  if (failure.message !== undefined) terminal.say(`tidings: ${failure.message}`)
}
await context.release()
process.exit(exitCode)
