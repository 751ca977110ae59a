import { wantsColors } from './env.ts'
import { EXIT } from './exit-codes.ts'
import { runProgram } from './run-program.ts'
import { createTerminal } from './terminal.ts'

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

const args = process.argv.slice(2)
const colors = wantsColors(process.env, args)
// What draws questions and progress bars looks here only.
if (!colors) process.env.NO_COLOR = '1'
const terminal = createTerminal(process, colors)
const exitCode = await runProgram(args, terminal, process.env, {
  onInterrupt: (listener) => void interruptListeners.push(listener),
})
process.exit(exitCode)
