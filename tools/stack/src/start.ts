import { relative, sep } from 'node:path'
import { ConfigError } from '@tidings/shared/env'
import { errorMessage } from '@tidings/shared/errors'
import { AlreadyRunningError } from './instance-lock.ts'
import type { Stack } from './stack.ts'
import { readStartEnv } from './start-env.ts'
import { PortTakenError, startStack } from './start-stack.ts'

const QUEUE_TEXTS = {
  'redis-given': 'Redis, the one of REDIS_URL',
  'redis-private': 'Redis, a private one that writes every job to disk',
  postgres: 'PostgreSQL (there is no Redis; install redis-server for more speed)',
}

const say = (text: string) => void process.stderr.write(`${text}\n`)

/** As one would type it: from here when it is below, whole otherwise. */
function showPath(path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere.startsWith('..') ? path : `.${sep}${fromHere}`
}

function banner(stack: Stack): string {
  const database =
    stack.database === 'embedded' ? 'PostgreSQL 18, embedded' : 'PostgreSQL, the one of DATABASE_URL'
  return `
Tidings is up.

  API        ${stack.apiUrl}
  Reference  ${stack.apiUrl}/docs
  Database   ${database}
  Queue      ${QUEUE_TEXTS[stack.queue]}
  Data       ${showPath(stack.dataDir)} (logs in ${showPath(stack.logDir)})

Try this in another terminal, in this folder:

  . ${showPath(stack.devEnvFile)}
  curl -X POST $API_URL/api/v1/email/status/ \\
    -H "Authorization: Bearer $SERVICE_KEY" \\
    -d '{"notification_id": "notif-123", "status": "delivered"}'

Ctrl-C stops everything and keeps the data.
`
}

/** Errors whose message says all there is to know. */
const isExpected = (error: unknown) =>
  error instanceof ConfigError || error instanceof AlreadyRunningError || error instanceof PortTakenError

async function main(): Promise<number> {
  const stopping = new AbortController()
  let exitCode = 0
  const requestStop = () => stopping.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, requestStop)
  // The launcher holds the other end: when even SIGKILL ends it, we stop too.
  process.on('disconnect', requestStop)
  // A closed terminal is no reason to leave processes behind.
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
  process.stdout.write(banner(stack))
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
