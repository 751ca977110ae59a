import type { EventReference, StoredContent } from '@tidings/db/events/stored-content'
import { deadLetterSchema } from '@tidings/shared/dead-letter'
import { isTooDeep } from '@tidings/shared/json'
import { z } from 'zod'
import { type DeadLetterEntry, isStored, MAX_BATCH, MAX_ENTRY_DEPTH, toReference } from './entry.ts'
import { type FindErased, redactErased } from './redact.ts'
import { isTooMuch } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

const entrySchema = deadLetterSchema.extend({
  /** An id that starts as deadLetterId starts it, and that BullMQ accepts. */
  id: z.string().regex(/^dead-[\w-]{1,250}$/),
  event: z
    .unknown()
    .refine((event) => !isTooDeep(event, MAX_ENTRY_DEPTH), `is nested deeper than ${MAX_ENTRY_DEPTH} levels`),
})

export const toLine = (entry: DeadLetterEntry) => `${JSON.stringify(entry)}\n`

export interface ImportRequest {
  /** Lines as toLine writes them. */
  lines: AsyncIterable<string>
  findStored(events: readonly EventReference[]): Promise<StoredContent>
  findErased: FindErased
  dryRun: boolean
  signal?: AbortSignal | undefined
  onBatch?(totals: ImportTotals): void
}

export interface ImportTotals {
  lines: number
  imported: number
  /** Skipped: the dead letter exists. */
  present: number
  /** Skipped: the event is stored. */
  stored: number
  /** The first MAX_BAD_SHOWN lines that are not dead letters. Line numbers start at 1. */
  bad: { line: number; message: string }[]
  badCount: number
}

export interface ImportResult extends ImportTotals {
  end: 'done' | 'interrupted'
}

const MAX_BAD_SHOWN = 20

/**
 * Adds exported entries. It redacts those of users who were erased since, and skips entries that exist or whose event
 * is stored.
 */
export async function importDeadLetters(
  store: DeadLetterStore,
  request: ImportRequest,
): Promise<ImportResult> {
  const totals: ImportTotals = { lines: 0, imported: 0, present: 0, stored: 0, bad: [], badCount: 0 }
  let batch: DeadLetterEntry[] = []
  let batchBytes = 0

  async function addBatch() {
    const unique = [...new Map(batch.map((entry) => [entry.id, entry])).values()]
    const present = await store.sizes(unique.map((entry) => entry.id))
    const stored = await request.findStored(unique.map(toReference))
    const absent = unique.filter((entry) => !present.has(entry.id))
    const wanted = absent.filter((entry) => !isStored(entry, stored))
    totals.present += batch.length - absent.length
    totals.stored += absent.length - wanted.length
    batch = []
    batchBytes = 0
    if (wanted.length > 0 && !request.dryRun) {
      const added = await store.restore(await redactErased(wanted, request.findErased))
      totals.imported += added.length
      totals.present += wanted.length - added.length
    } else {
      totals.imported += wanted.length
    }
    request.onBatch?.(totals)
  }

  for await (const line of request.lines) {
    if (request.signal?.aborted) break
    totals.lines++
    if (line.trim() === '') continue
    const entry = readLine(line)
    if ('message' in entry) {
      totals.badCount++
      if (totals.bad.length < MAX_BAD_SHOWN) totals.bad.push({ line: totals.lines, message: entry.message })
      continue
    }
    const bytes = Buffer.byteLength(line)
    if (isTooMuch(batchBytes, bytes)) await addBatch()
    batch.push(entry)
    batchBytes += bytes
    if (batch.length === MAX_BATCH) await addBatch()
  }
  if (batch.length > 0 && !request.signal?.aborted) await addBatch()
  return { ...totals, end: request.signal?.aborted ? 'interrupted' : 'done' }
}

function readLine(line: string): DeadLetterEntry | { message: string } {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { message: 'is not JSON' }
  }
  const parsed = entrySchema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  return { message: `is not a dead letter (${issue?.path.join('.') || 'line'}: ${issue?.message})` }
}
