import { type Logger, pino } from 'pino'
import type { LogLevel } from './log-level.ts'

export type { Logger }

/** Fields that must never be written, wherever somebody puts them. */
const SECRET_FIELDS = ['password', 'token', 'refresh_token', 'authorization', 'key', 'email', 'push_token']

/** What is gathered before it is written, in characters, and how long it waits at most, in milliseconds. */
const GATHER_CHARS = 16_384
const GATHER_MS = 100

/**
 * JSON lines on stdout with `service` in each. Lines are gathered for up to 100 ms or 16 KB and written at
 * exit: a line per request must not cost a system call per request.
 *
 * @param activeFields added to each line as it is written, such as the active trace's id.
 */
export function createLogger(
  service: string,
  level: LogLevel,
  activeFields?: () => Record<string, string>,
): Logger {
  return pino(
    {
      level,
      ...(activeFields && { mixin: activeFields }),
      base: { service },
      timestamp: isoTime,
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
        censor: '[redacted]',
      },
    },
    gatherLines(pino.destination({ fd: 1, sync: false })),
  )
}

/** A destination that is given many lines at a time, for it measures all that it holds at every write. */
function gatherLines(destination: ReturnType<typeof pino.destination>): pino.DestinationStream {
  let gathered = ''
  let timer: NodeJS.Timeout | undefined
  function flush() {
    clearTimeout(timer)
    timer = undefined
    const lines = gathered
    gathered = ''
    if (lines !== '') destination.write(lines)
  }
  flushAtExit(flush)
  return {
    write(line) {
      gathered += line
      if (gathered.length >= GATHER_CHARS) flush()
      else timer ??= setTimeout(flush, GATHER_MS).unref()
    },
  }
}

const flushes: (() => void)[] = []

function flushAtExit(flush: () => void) {
  if (flushes.length === 0) {
    const flushAll = () => {
      for (const each of flushes) each()
    }
    // Before the destinations' own listeners, which end them.
    process.prependListener('beforeExit', flushAll)
    process.prependListener('exit', flushAll)
  }
  flushes.push(flush)
}

let isoMs = 0
let isoField = ''

/** The time as a field of the line; thousands of lines share a millisecond. */
function isoTime(): string {
  const now = Date.now()
  if (now !== isoMs) {
    isoMs = now
    isoField = `,"time":"${new Date(now).toISOString()}"`
  }
  return isoField
}
