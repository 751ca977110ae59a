import { AppError } from '@tidings/shared/errors'
import { type StatusEvent, type StatusReport, statusReportSchema } from '@tidings/shared/status-event'
import { parseValue } from '../http/parse-value.ts'
import { keyConflict } from './key-conflict.ts'

/** What becomes of one entry of a batch. */
export type BatchResult = { accepted: true; event: StatusEvent } | { accepted: false; refusal: AppError }

/**
 * Judges each entry by itself, in order. Two entries with one id and different content in the same batch are
 * a conflict; with the same content the second is a repeat like any other.
 */
export function validateBatch(
  entries: readonly unknown[],
  identify: (report: StatusReport, index: number) => { event: StatusEvent; refusal: AppError | undefined },
): BatchResult[] {
  const contents = new Map<string, string | undefined>()
  return entries.map((entry, index) => {
    try {
      const { event, refusal } = identify(parseValue(statusReportSchema, entry), index)
      if (refusal) return { accepted: false, refusal }
      if (contents.has(event.id) && contents.get(event.id) !== event.content_hash) {
        return { accepted: false, refusal: keyConflict() }
      }
      contents.set(event.id, event.content_hash)
      return { accepted: true, event }
    } catch (error) {
      if (error instanceof AppError) return { accepted: false, refusal: error }
      throw error
    }
  })
}
