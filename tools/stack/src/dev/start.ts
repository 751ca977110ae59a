import { StartupError } from '@tidings/runtime/env'
import { errorMessage } from '@tidings/shared/errors'
import { describeStack } from './describe-stack.ts'
import { readStartEnv } from './env.ts'
import { AlreadyRunningError } from './instance-lock.ts'
import type { Stack } from './stack.ts'
import { startStack } from './start-stack.ts'

const say = (text: string) => void process.stderr.write(`${text}\n`)

/** The message of these errors is complete: it needs no introduction. */
const isExpected = (error: unknown) => error instanceof StartupError || error instanceof AlreadyRunningError

/** Runs npm start until a signal ends it. Returns the exit code. */
async function main(): Promise<number> {
  const stopping = new AbortController()
  let exitCode = 0
  const requestStop = () => stopping.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, requestStop)
  // The launcher holds the other end of the channel: this stops us even when the launcher is killed.
  process.on('disconnect', requestStop)
  // A closed terminal must not keep us from stopping the processes.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

  let stack: Stack
  try {
    stack = await startStack({
      env: readStartEnv(process.env),
      baseEnv: process.env,
      signal: stopping.signal,
      onStep: (text) => say(`  ${text} …`),
      onNotice: (text) => say(`  ${text}`),
      onGiveUp(part) {
        say(`  ${part} does not stay up; stopping. Its log is in the data folder.`)
        exitCode = 1
        stopping.abort()
      },
    })
  } catch (error) {
    if (stopping.signal.aborted && exitCode === 0) return 0
    say(isExpected(error) ? errorMessage(error) : `Tidings did not start: ${errorMessage(error)}`)
    return 1
  }
  process.stdout.write(describeStack(stack))
  await new Promise<void>((resolve) => {
    if (stopping.signal.aborted) resolve()
    stopping.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  say('\n  stopping …')
  await stack.stop()
  say('  stopped; the data is kept.')
  return exitCode
}

process.exit(await main())
