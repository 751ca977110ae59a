import type { Writable } from 'node:stream'
import { EXIT } from './exit-codes.ts'
import { isBrokenPipe } from './terminal/terminal.ts'

/** Passes Ctrl-C and its like on to a running command. */
export interface Interruptions {
  /** Takes one listener. It may be called more than once. */
  onInterrupt(listener: () => void): void
}

/** The part of `process` that can interrupt a command. */
interface InterruptingProcess {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown
  stdout: Writable
  stderr: Writable
  /** Ends the process when no command listens, or when a second signal arrives. */
  exit(code: number): void
}

/**
 * npm passes a Ctrl-C on although the terminal has sent it to every process already. A second signal this soon after
 * the first counts as the same Ctrl-C. In milliseconds.
 */
const SAME_SIGNAL_MS = 1_000

/** Listens to signals, and to the closing of stdout by its reader. */
export function listenForInterruptions(host: InterruptingProcess): Interruptions {
  let interruptCommand: (() => void) | undefined
  let firstSignalAt: number | undefined

  const onSignal = (exitCode: number) => {
    if (interruptCommand === undefined) host.exit(exitCode)
    else if (firstSignalAt === undefined) {
      firstSignalAt = performance.now()
      interruptCommand()
    } else if (performance.now() - firstSignalAt > SAME_SIGNAL_MS) host.exit(exitCode)
  }
  host.on('SIGINT', () => onSignal(130))
  host.on('SIGTERM', () => onSignal(143))
  // The reader of a pipe went away, as `| head` does. That is no failure. A command in the middle of a change ends
  // after its batch, as at Ctrl-C.
  host.stdout.on('error', (error) => {
    if (!isBrokenPipe(error)) return
    if (interruptCommand === undefined) host.exit(EXIT.ok)
    else interruptCommand()
  })
  // Nobody reads the messages any more. The command goes on.
  host.stderr.on('error', () => undefined)

  return {
    onInterrupt(listener) {
      interruptCommand = listener
    },
  }
}
