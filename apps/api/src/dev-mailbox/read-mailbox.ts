import { AppError } from '@tidings/shared/errors'
import { z } from 'zod'

const mailSchema = z.object({
  id: z.guid(),
  to: z.string(),
  subject: z.string(),
  text: z.string(),
  html: z.string(),
  received_at: z.iso.datetime(),
})
export type Mail = z.infer<typeof mailSchema>

const TIMEOUT_MS = 3_000

/**
 * Reads the mails, newest first.
 *
 * @throws AppError `unavailable` when the mailbox does not answer.
 */
export async function readMailbox(url: string): Promise<Mail[]> {
  try {
    const answer = await fetch(new URL('/messages', url), { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return z.array(mailSchema).parse(await answer.json())
  } catch (cause) {
    throw new AppError('unavailable', 'The local mailbox does not answer.', { cause })
  }
}
