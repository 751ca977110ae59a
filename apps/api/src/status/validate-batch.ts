import { AppError } from '@tidings/shared/errors'
import { isLargeJson } from '@tidings/shared/json'
import { parseValue } from '@tidings/shared/parse-value'
import { type StatusEvent, type StatusReport, statusReportSchema } from '@tidings/shared/status-event'
import { MAX_BODY_BYTES } from '../http/read-json.ts'

/** The result for one entry of a batch. */
export type BatchResult = { accepted: true; event: StatusEvent } | { accepted: false; refusal: AppError }

/**
 * Validates each entry separately, in order. A second entry with the same id is a repeat when its content is the same,
 * and a conflict when it is not.
 *
 * @param yieldTurn called before each entry; see Turns. A batch of 1 MB takes longer than others should wait.
 */
export async function validateBatch(
  entries: readonly unknown[],
  identify: (report: StatusReport, index: number) => { event: StatusEvent; refusal: AppError | undefined },
  yieldTurn: () => Promise<void> | undefined,
): Promise<BatchResult[]> {
  const contents = new Map<string, string | undefined>()
  function validate(entry: unknown, index: number): BatchResult {
    try {
      assertSize(entry)
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
  }
  const results: BatchResult[] = []
  for (const [index, entry] of entries.entries()) {
    const turn = yieldTurn()
    if (turn !== undefined) await turn
    results.push(validate(entry, index))
  }
  return results
}

/**
 * Refuses an entry that would be too large as a single post. One step of the validation must be short, and a schema
 * takes a hundred times as long for many small members as parsing them does.
 */
function assertSize(entry: unknown): void {
  if (!isLargeJson(entry, MAX_BODY_BYTES)) return
  throw new AppError('payload_too_large', `The event is larger than ${MAX_BODY_BYTES} bytes.`)
}

/** The refusal of an idempotency key that was used before with other content. */
export const keyConflict = () =>
  new AppError('conflict', 'This idempotency key was used before with other content.')
