import { PassThrough } from 'node:stream'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { wantsColors } from '../env.ts'
import { runProgram } from '../run-program.ts'
import { createTerminal } from '../terminal/terminal.ts'

interface TypedAnswer {
  prompt: string
  keys: string
}

export interface TerminalRunOptions {
  columns?: number
  env?: NodeJS.ProcessEnv
  /** Keys to type once the terminal shows the prompt. */
  answer?: TypedAnswer
  /** As `answer`, one after the other. */
  answers?: readonly TypedAnswer[]
  /** Interrupts the command as Ctrl-C does, once the terminal shows this text. */
  interruptAt?: string
}

export interface TerminalRun {
  exitCode: number
  /** Everything written to the terminal, escape sequences included. */
  output: string
}

/**
 * Runs the program in this process on a terminal that is only streams. It starts in milliseconds, where a process on a
 * real terminal takes a second. Ctrl-C works while a question is asked.
 */
export async function runOnFakeTerminal(
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  { columns = 110, env: more = {}, answer, answers = [], interruptAt }: TerminalRunOptions = {},
): Promise<TerminalRun> {
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined })
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns, rows: 40 })
  let output = ''
  screen.setEncoding('utf8').on('data', (part: string) => {
    output += part
  })
  const whole = { ...env, ...more }
  const terminal = createTerminal({ stdin, stdout: screen, stderr: screen }, wantsColors(whole, args))
  let interrupt = () => {}
  const ended = runProgram(args, terminal, whole, {
    onInterrupt(listener) {
      interrupt = listener
    },
  })
  const waitUntilShown = (text: string) =>
    waitFor(`the terminal to show "${text}"`, () => output.includes(text), {
      intervalMs: 5,
      timeoutMs: 30_000,
      explain: () => output.slice(-500),
    })
  for (const { prompt, keys } of answer ? [answer] : answers) {
    await waitUntilShown(prompt)
    stdin.write(keys)
  }
  if (interruptAt !== undefined) {
    await waitUntilShown(interruptAt)
    interrupt()
  }
  const exitCode = await ended
  stdin.destroy()
  // The stream hands over what was written before the end.
  await new Promise((resolve) => screen.end(resolve))
  return { exitCode, output }
}
