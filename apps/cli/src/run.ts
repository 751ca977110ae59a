import { wantsColors } from './env.ts'
import { EXIT } from './exit-codes.ts'
import { runProgram } from './run-program.ts'
import { createTerminal, isBrokenPipe } from './terminal/terminal.ts'

/**
 * npm passes a Ctrl-C on that the terminal has told everybody already. What comes so soon after the first is that one
 * once more. In milliseconds.
 */
const SAME_SIGNAL_MS = 1_000

let interruptCommand: (() => void) | undefined
let signalledAt: number | undefined
const onSignal = (exitCode: number) => {
  if (interruptCommand === undefined) process.exit(exitCode)
  if (signalledAt === undefined) {
    signalledAt = performance.now()
    interruptCommand()
  } else if (performance.now() - signalledAt > SAME_SIGNAL_MS) process.exit(exitCode)
}
process.on('SIGINT', () => onSignal(130))
process.on('SIGTERM', () => onSignal(143))
// The reader of a pipe went away, as `| head` does: that is an end, not a failure. What is in the middle of a change
// ends after its batch, as at Ctrl-C.
process.stdout.on('error', (error) => {
  if (!isBrokenPipe(error)) return
  if (interruptCommand === undefined) process.exit(EXIT.ok)
  interruptCommand()
})
// Nobody reads what is said: no reason to stop doing.
process.stderr.on('error', () => undefined)

const args = process.argv.slice(2)
const colors = wantsColors(process.env, args)
// What draws questions and progress bars looks here only.
if (!colors) process.env.NO_COLOR = '1'
const terminal = createTerminal(process, colors)
const exitCode = await runProgram(args, terminal, process.env, {
  onInterrupt(listener) {
    interruptCommand = listener
  },
})
process.exit(exitCode)
