import type { Logger } from '@tidings/runtime/log'
import { type OutboundJob, outboundJobSchema } from '@tidings/shared/outbound-message'
import { type Job, UnrecoverableError } from 'bullmq'
import { z } from 'zod'
import type { SendOutcome } from './mailer.ts'
import type { Report } from './report-status.ts'

/** What this service uses of a BullMQ job. */
export type MailJob = Pick<
  Job<unknown>,
  'id' | 'data' | 'attemptsMade' | 'opts' | 'progress' | 'updateProgress'
>

export interface ProcessDeps {
  send(message: OutboundJob): Promise<SendOutcome>
  report: Report
  log: Logger
}

/** Kept in the job once the SMTP server has the mail: a retry then only reports. Holds no address and no secret. */
const sentSchema = z.object({ sentInAttempt: z.int() })

/**
 * Sends one message and reports what became of it. Returns when nothing is left to do.
 *
 * @throws Error to be called again later: the SMTP server or the API did not take it. BullMQ keeps the error's text,
 *   so it holds no address.
 */
export async function processMessage(job: MailJob, { send, report, log }: ProcessDeps): Promise<void> {
  const message = parseMessage(job)
  const attempt = job.attemptsMade + 1
  const earlier = sentSchema.safeParse(job.progress)
  if (earlier.success) return report(message, { status: 'sent', attempt: earlier.data.sentInAttempt })

  const isExpired = Date.parse(message.expires_at) <= Date.now()
  const outcome = isExpired ? EXPIRED : await send(message)
  log.info(
    { id: message.id, kind: message.kind, attempt, outcome: outcome.status, code: outcome.code },
    'message',
  )
  if (outcome.status === 'sent') {
    await job.updateProgress({ sentInAttempt: attempt })
    return report(message, { status: 'sent', attempt })
  }
  const { status, ...error } = outcome
  const isLast = attempt >= (job.opts.attempts ?? 1)
  await report(message, { status: status === 'deferred' && isLast ? 'failed' : status, attempt, error })
  if (status === 'deferred' && !isLast) throw new Error(`Not sent yet (${error.code})`)
}

const EXPIRED: SendOutcome = {
  status: 'failed',
  code: 'expired',
  class: 'permanent',
  message: 'The message expired before it could be sent.',
}

function parseMessage({ data }: MailJob): OutboundJob {
  const parsed = outboundJobSchema.safeParse(data)
  if (parsed.success) return parsed.data
  const isNewer = z.looseObject({ v: z.number().min(2) }).safeParse(data).success
  if (isNewer) throw new Error('The job has a newer version: it waits for a newer service.')
  // Paths only: the values are personal, and one is secret.
  const fields = parsed.error.issues.map(({ path }) => path.join('.')).join(', ')
  throw new UnrecoverableError(`The job is not valid: ${fields}`)
}
