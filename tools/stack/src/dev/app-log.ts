import { createWriteStream, type WriteStream } from 'node:fs'
import { errorMessage } from '@tidings/shared/errors'
import { z } from 'zod'

const WARN_LEVEL = 40
const ERROR_LEVEL = 50

const logLineSchema = z.looseObject({ level: z.number(), msg: z.string().optional() })
/** Said already, or of no use on a terminal. */
const HIDDEN_FIELDS = new Set(['level', 'time', 'service', 'msg', 'pid', 'hostname'])

/** All of an app's log goes to a file; what needs a person's attention also to the terminal, as a sentence. */
export interface AppLog {
  write(line: string): void
  close(): Promise<void>
}

export function openAppLog(name: string, file: string, show: (text: string) => void): AppLog {
  const stream: WriteStream = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // A full disk is no reason to end: after this error the stream takes no more, and is silent about it.
  stream.on('error', (error) =>
    show(`${name}: its log ${file} is not written any more (${errorMessage(error)})`),
  )
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

/** A readable form of a warning, an error, or a line that is no log line; undefined for the rest. */
export function toSentence(line: string): string | undefined {
  const entry = parseLogLine(line)
  if (entry === undefined) return line.trim() === '' ? undefined : line
  if (entry.level < WARN_LEVEL) return undefined
  const details = Object.entries(entry)
    .filter(([key]) => !HIDDEN_FIELDS.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const kind = entry.level >= ERROR_LEVEL ? 'error' : 'warning'
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
