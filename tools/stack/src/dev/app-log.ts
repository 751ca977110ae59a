import { createWriteStream } from 'node:fs'
import { errorMessage } from '@tidings/shared/errors'
import { z } from 'zod'

/** How the levels that a terminal shows begin a sentence. */
const KINDS: Readonly<Record<string, string>> = { warn: 'warning', error: 'error', fatal: 'error' }

const logLineSchema = z.looseObject({ level: z.string(), msg: z.string().optional() })
/** The sentence says these already, or a person at a terminal has no use for them. */
const HIDDEN_FIELDS = new Set(['level', 'time', 'service', 'msg', 'pid', 'hostname'])

/** Writes an app's whole log to a file, and shows warnings and errors on the terminal as sentences. */
export interface AppLog {
  write(line: string): void
  close(): Promise<void>
}

/** Opens the log for appending, readable only by its owner. A full disk is reported once and ends nothing. */
export function openAppLog(name: string, file: string, show: (text: string) => void): AppLog {
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // After an error the stream ignores every write.
  stream.on('error', (error) => show(`${name}: ${file} is no longer written (${errorMessage(error)})`))
  const closed = new Promise<void>((resolve) => stream.once('close', resolve))
  return {
    write(line) {
      stream.write(`${line}\n`)
      const text = toSentence(line)
      if (text !== undefined) show(`${name}: ${text}`)
    },
    async close() {
      stream.end()
      await closed
    },
  }
}

/**
 * Turns a warning or an error into a sentence. Returns lines that are no log lines unchanged, and undefined for
 * everything a terminal need not show.
 */
export function toSentence(line: string): string | undefined {
  const entry = parseLogLine(line)
  if (entry === undefined) return line.trim() === '' ? undefined : line
  const kind = KINDS[entry.level]
  if (kind === undefined) return undefined
  const details = Object.entries(entry)
    .filter(([key]) => !HIDDEN_FIELDS.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return [`${kind}: ${entry.msg ?? ''}`, ...details].join(' ')
}

function parseLogLine(line: string): z.infer<typeof logLineSchema> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return logLineSchema.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}
