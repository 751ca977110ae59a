import { AppError } from '@tidings/shared/errors'
import { type StatusEvent, type StatusReport, statusReportSchema } from '@tidings/shared/status-event'
import { parseValue } from '../http/parse-value.ts'

/** The result for one entry of a batch. */
export type BatchResult = { accepted: true; event: StatusEvent } | { accepted: false; refusal: AppError }

/**
 * Validates each entry separately, in order. A second entry with the same id is a repeat when its content is the same,
 * and a conflict when it is not.
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

/** The refusal of an idempotency key that was used before with other content. */
export const keyConflict = () =>
  new AppError('conflict', 'This idempotency key was used before with other content.')
