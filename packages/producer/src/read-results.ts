import { z } from 'zod'
import { invalid, ProducerError } from './errors.ts'

/** What the API said about one event. */
export type EventResult = 'accepted' | ProducerError

/** The answer of the batch routes. */
const answerSchema = z.object({
  data: z.array(
    z.discriminatedUnion('accepted', [
      z.object({ accepted: z.literal(true) }),
      z.object({
        accepted: z.literal(false),
        error: z.string(),
        message: z.string(),
        errors: z.array(z.object({ pointer: z.string(), code: z.string(), message: z.string() })),
      }),
    ]),
  ),
})

/**
 * Reads the results of a batch, in the order of its events.
 *
 * @throws ProducerError `unavailable` when it is not the answer of the API to this batch.
 */
export function readResults(text: string, events: number): EventResult[] {
  const answer = answerSchema.safeParse(parseJson(text))
  if (!answer.success || answer.data.data.length !== events)
    throw new ProducerError('unavailable', 'The answer is not one of Tidings. Is the URL that of its API?')
  return answer.data.data.map((result) => {
    if (result.accepted) return 'accepted'
    if (result.error === 'conflict') return new ProducerError('conflict', result.message)
    const fields =
      result.errors.length > 0
        ? result.errors
        : [{ pointer: '', code: result.error, message: result.message }]
    return invalid('invalid_event', fields)
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
