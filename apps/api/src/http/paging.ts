import { AppError } from '@tidings/shared/errors'
import { isUsableTime } from '@tidings/shared/status-event'
import { z } from 'zod'
import type { PageMeta } from './respond.ts'

/** Where a page of a list in order of time ended: the next one starts behind it. */
export interface PagePosition {
  time: Date
  id: string
}

/** Query parameters of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z
    .string()
    .optional()
    .transform((value) => (value === undefined ? undefined : readCursor(value))),
}

/**
 * Makes a page.
 *
 * @param found one more than `limit`, if there are so many: that tells whether there is a next page.
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
    const message = 'Use the next_cursor of a former answer.'
    throw new AppError('validation_failed', message, {
      fields: [{ pointer: '/cursor', code: 'invalid_cursor', message }],
    })
  }
  return { time: new Date(Number(time)), id }
}
