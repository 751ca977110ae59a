import { AppError } from '@tidings/shared/errors'
import { isUsableTime } from '@tidings/shared/status-event'
import { z } from 'zod'
import type { PageMeta } from './respond.ts'

/** The last row of a page, in a list ordered by time and id. The next page starts after it. */
export interface PagePosition {
  time: Date
  id: string
}

/** Query parameters that every list accepts. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .optional()
    .transform((value) => (value === undefined ? undefined : readCursor(value))),
}

/**
 * Builds a page from the rows found.
 *
 * @param found up to `limit` + 1 rows. The extra row means that there is a next page.
 */
export function toPage<Row>(
  found: readonly Row[],
  limit: number,
  positionOf: (row: Row) => PagePosition,
): { rows: Row[]; meta: PageMeta } {
  const rows = found.slice(0, limit)
  const last = found.length > limit ? rows.at(-1) : undefined
  const next_cursor = last === undefined ? null : writeCursor(positionOf(last))
  return { rows, meta: { limit, next_cursor, has_next: last !== undefined } }
}

function writeCursor({ time, id }: PagePosition): string {
  return Buffer.from(`${time.getTime()} ${id}`).toString('base64url')
}

const CURSOR = /^(\d{1,15}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

function readCursor(cursor: string): PagePosition {
  const [, time, id] = CURSOR.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (time === undefined || id === undefined || !isUsableTime(Number(time))) {
    const message = 'Use the next_cursor of an earlier answer.'
    throw new AppError('validation_failed', message, {
      fields: [{ pointer: '/cursor', code: 'invalid_cursor', message }],
    })
  }
  return { time: new Date(Number(time)), id }
}
