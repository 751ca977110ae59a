import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { errorMessage } from '@tidings/shared/errors'
import streamArray from 'stream-json/streamers/stream-array.js'
import { z } from 'zod'
import { CliError, EXIT } from '../exit-codes.ts'
import { isMissing } from '../input/file-errors.ts'
import { readLines } from '../input/read-lines.ts'
import { type DjangoRecord, type DjangoTable, parseDjangoRow } from './records.ts'
import type { DjangoSource, OnProgress } from './source.ts'

const TABLES: Readonly<Record<string, DjangoTable>> = {
  'users.user': 'users',
  'users.userpreference': 'user_preferences',
  'users.notificationstatuslog': 'notification_status_logs',
}

const objectSchema = z.object({
  model: z.string(),
  pk: z.unknown(),
  fields: z.record(z.string(), z.unknown()),
})

/**
 * Opens a file of `manage.py dumpdata`: JSON or JSONL, possibly compressed with gzip. Other models are skipped.
 *
 * @throws CliError `notFound`.
 */
export async function openDumpdataSource(path: string): Promise<DjangoSource> {
  const { size } = await stat(path).catch((error: unknown) => {
    const reason = isMissing(error)
      ? `There is no file ${path}. Name one that manage.py dumpdata wrote, or a database: postgres://…`
      : `Cannot read ${path}: ${errorMessage(error)}`
    throw new CliError(EXIT.notFound, reason)
  })

  async function* read(tables: readonly DjangoTable[], onProgress: OnProgress): AsyncGenerator<DjangoRecord> {
    for await (const object of readObjects(path, onProgress)) {
      const parsed = objectSchema.safeParse(object)
      const table = parsed.success ? TABLES[parsed.data.model.toLowerCase()] : undefined
      if (!parsed.success || table === undefined || !tables.includes(table)) continue
      yield parseDjangoRow(table, toRow(table, parsed.data.pk, parsed.data.fields))
    }
  }

  return {
    name: path,
    accountsTotal: size,
    logsTotal: size,
    readAccounts: (onProgress) => read(['users', 'user_preferences'], onProgress),
    readLogs: (onProgress) => read(['notification_status_logs'], onProgress),
    close: () => Promise.resolve(),
  }
}

/** Renames foreign keys: dumpdata names them by field (`user`), the database by column (`user_id`). */
function toRow(table: DjangoTable, pk: unknown, fields: Record<string, unknown>): Record<string, unknown> {
  if (table === 'users') return { ...fields, id: pk }
  // The user may be the primary key of the preferences.
  const { user = pk, ...rest } = fields
  return table === 'user_preferences'
    ? { ...rest, user_id: user }
    : { ...rest, id: pk, user_id: 'user' in fields ? fields.user : fields.user_id }
}

async function* readObjects(path: string, onProgress: OnProgress): AsyncGenerator<unknown> {
  const file = createReadStream(path, { highWaterMark: 256 * 1024 })
  let done = 0
  file.on('data', (chunk) => {
    done += chunk.length
    onProgress(done)
  })
  const text: Readable = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file
  const isLines = /\.jsonl(\.gz)?$/.test(path)
  try {
    yield* isLines ? readObjectLines(text) : readArray(text)
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(EXIT.failure, `${path} is not the JSON of dumpdata: ${errorMessage(error)}`)
  } finally {
    file.destroy()
  }
}

async function* readArray(text: Readable): AsyncGenerator<unknown> {
  const items = pipeline(text, streamArray.withParserAsStream(), () => undefined)
  for await (const item of items as AsyncIterable<{ value: unknown }>) yield item.value
}

async function* readObjectLines(text: Readable): AsyncGenerator<unknown> {
  for await (const line of readLines(text)) {
    if (line.trim() !== '') yield JSON.parse(line)
  }
}
