import type { Database } from '@tidings/db/database'
import { findErasedUsers } from '@tidings/db/users/erased-users'
import { EXPORT_TYPES, type ExportRecord, exportFromDatabase } from '@tidings/db/users/export-user'
import { findUser, type UserRow } from '@tidings/db/users/users'
import { SCAN_PAGE } from '@tidings/queue/dead-letters/entry'
import { createMatcher } from '@tidings/queue/dead-letters/filter'
import { scanDeadLetters } from '@tidings/queue/dead-letters/scan'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { z } from 'zod'

const exportTypeSchema = z.enum(EXPORT_TYPES).meta({ id: 'AccountExportType' })
const countsSchema = z.record(exportTypeSchema, z.int())
export type ExportCounts = z.infer<typeof countsSchema>

/** One line of an export. */
export const exportLineSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: exportTypeSchema, data: z.record(z.string(), z.unknown()) }),
    z.strictObject({ type: z.literal('end'), counts: countsSchema }),
  ])
  .meta({ id: 'AccountExportLine' })

export interface ExportSources {
  db: Database
  deadLetters: Pick<DeadLetterStore, 'parts'>
  /** See digestRecipient. */
  recipientKey: string
}

/** Part of an export as NDJSON, and what the export holds so far. */
export interface ExportPart {
  text: string
  counts: Readonly<ExportCounts>
}

/**
 * Exports everything that is held about a user as NDJSON, in parts of a few hundred lines. The last line has the type
 * `end`; an export without it is incomplete. The next part is read when the caller asks for it.
 *
 * @throws Error when the user was erased meanwhile.
 */
export async function* exportUser(sources: ExportSources, user: UserRow): AsyncGenerator<ExportPart> {
  const counts = Object.fromEntries(EXPORT_TYPES.map((type) => [type, 0])) as ExportCounts
  for await (const records of readAll(sources, user)) {
    for (const { type } of records) counts[type]++
    const text = records.map(({ type, data }) => toLine({ type, data })).join('')
    if (text !== '') yield { text, counts }
  }
  // An erasure that goes on has emptied events that were read: the export would look complete.
  const erased = await findErasedUsers(sources.db, [user.id])
  if (erased.has(user.id) || (await findUser(sources.db, user.id)) === undefined)
    throw new Error('The user was erased during the export.')
  yield { text: toLine({ type: 'end', counts }), counts }
}

const toLine = (line: object) => `${JSON.stringify(line)}\n`

async function* readAll(
  { db, deadLetters, recipientKey }: ExportSources,
  user: UserRow,
): AsyncGenerator<ExportRecord[]> {
  yield* exportFromDatabase(db, user, recipientKey)
  const isTheirs = createMatcher({ userId: user.id })
  for await (const page of scanDeadLetters(deadLetters, { pageSize: SCAN_PAGE }))
    yield page
      .filter(({ entry }) => isTheirs(entry))
      .map(({ entry }) => ({ type: 'dead_letter', data: { ...entry } }))
}
