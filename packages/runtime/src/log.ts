import { type Logger, pino } from 'pino'
import type { LogLevel } from './log-level.ts'

export type { Logger }

/** Fields that are redacted at the top level of a line and one level below. */
const SECRET_FIELDS = ['password', 'token', 'refresh_token', 'authorization', 'key', 'email', 'push_token']

/** Lines are written once this many characters are gathered, or after this many milliseconds. */
const GATHER_CHARS = 16_384
const GATHER_MS = 100

/**
 * Logs JSON lines with a `service` field and the level as a word to stdout. Lines are gathered for up to 100 ms or
 * 16 KB, so that a line per request does not cost a system call per request. The rest is written at exit.
 *
 * @param activeFields gives fields to add to a line when it is logged, such as the id of the active trace.
 */
export function createLogger(
  service: string,
  level: LogLevel,
  activeFields?: () => Record<string, string>,
): Logger {
  return pino(
    {
      level,
      formatters: { level: (label) => ({ level: label }) },
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

/** Hands the destination many lines at once, because it measures its whole buffer at every write. */
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
    // Must run before the destinations' own exit listeners, which close them.
    process.prependListener('beforeExit', flushAll)
    process.prependListener('exit', flushAll)
  }
  flushes.push(flush)
}

let isoMs = 0
let isoField = ''

/** The `time` field. Cached per millisecond, because thousands of lines share one. */
function isoTime(): string {
  const now = Date.now()
  if (now !== isoMs) {
    isoMs = now
    isoField = `,"time":"${new Date(now).toISOString()}"`
  }
  return isoField
}
