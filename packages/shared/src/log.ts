import { type Logger, pino } from 'pino'

export type { Logger }

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Fields that must never be written, wherever somebody puts them. */
const SECRET_FIELDS = ['password', 'token', 'refresh_token', 'authorization', 'key', 'email', 'push_token']

/**
 * JSON lines on stdout with `service` in each. Writing is buffered up to 16 KB and flushed every 100 ms and
 * at exit: a line per request must not cost a system call per request.
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
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
        censor: '[redacted]',
      },
    },
    pino.destination({ fd: 1, sync: false, minLength: 16_384, maxWrite: 65_536, periodicFlush: 100 }),
  )
}
