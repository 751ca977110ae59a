import { randomUUID } from 'node:crypto'
import { type ExportCounts, type ExportPart, exportUser } from '@tidings/accounts/export-user'
import { insertAudit } from '@tidings/db/operators/audit'
import { AUDIT_EXPORT, AUDIT_STARTED } from '@tidings/db/operators/audit-actions'
import { findUser } from '@tidings/db/users/users'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import type { Logger } from '@tidings/runtime/log'
import { AppError, errorMessage } from '@tidings/shared/errors'
import { describeError } from '../http/describe-error.ts'
import { notFound } from '../http/read-query.ts'
import type { AccountDeps } from './account-deps.ts'

export interface ExportDeps extends Pick<AccountDeps, 'db' | 'rateLimits'> {
  /** See digestRecipient. */
  recipientKey: string
  openDeadLetters(): Promise<DeadLetterStore>
  log: Logger
}

/** Exports at once in this process. Each one reads all dead letters. */
const MAX_EXPORTS = 4

/** The actor of an export that the user asked for, in the audit table. */
const OWNER = 'the user'

/**
 * Makes the function that exports accounts. It answers with a stream that reads the stores as fast as the client reads.
 * When the client goes away, the reading ends.
 *
 * @returns a function of the user and of what cuts the connection when a store fails in the middle. It throws AppError `not_found`, `rate_limited`, `overloaded`, `unavailable`.
 */
export function createAccountExporter({ db, rateLimits, recipientKey, openDeadLetters, log }: ExportDeps) {
  let running = 0

  async function* run(userId: string): AsyncGenerator<ExportPart> {
    const audit = auditExport(db, userId)
    let counts: Readonly<ExportCounts> | undefined
    let result = 'broken off'
    let deadLetters: DeadLetterStore | undefined
    try {
      await rateLimits.checkExport(userId)
      const user = await findUser(db, userId)
      if (user === undefined) throw notFound()
      deadLetters = await openDeadLetters().catch((cause: unknown) => {
        throw new AppError(
          'unavailable',
          'The export cannot read every store right now. Try again shortly.',
          {
            cause,
          },
        )
      })
      await audit(AUDIT_STARTED)
      for await (const part of exportUser({ db, deadLetters, recipientKey }, user)) {
        counts = part.counts
        yield part
      }
      result = 'done'
    } finally {
      running--
      await deadLetters?.close().catch(() => undefined)
      // Without counts nothing left the API.
      if (counts !== undefined)
        await audit(result, counts).catch((error: unknown) =>
          log.warn({ error: errorMessage(error) }, 'the end of an export was not audited'),
        )
    }
  }

  return async (userId: string, breakOff: () => void): Promise<ReadableStream<Uint8Array>> => {
    if (running >= MAX_EXPORTS)
      throw new AppError('overloaded', 'Too many exports at once. Try again shortly.', {
        retryAfterSeconds: 10,
      })
    running++
    const parts = run(userId)
    // Now, so that a store that is away is an answer of its own, and so that the end of the export is reached always.
    return toStream(await parts.next(), parts, (error) => {
      log.error({ error: describeError(error) }, 'export broken off')
      breakOff()
    })
  }
}

function auditExport(db: ExportDeps['db'], userId: string) {
  const run = randomUUID()
  return (result: string, counts?: Readonly<ExportCounts>) => {
    const lines = Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0)
    const selector = { run, user_id: userId }
    return insertAudit(db, {
      actor: OWNER,
      action: AUDIT_EXPORT,
      selector,
      matched: lines,
      changed: 0,
      result,
    })
  }
}

/** A stream that asks for the next part when its reader has taken the last one. */
function toStream(
  first: IteratorResult<ExportPart>,
  rest: AsyncGenerator<ExportPart>,
  onError: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  let next: Promise<IteratorResult<ExportPart>> | undefined = Promise.resolve(first)
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const part = await (next ?? rest.next())
          next = undefined
          if (part.done) controller.close()
          else controller.enqueue(Buffer.from(part.value.text))
        } catch (error) {
          // Not an error of the stream: the server would print it, with the parameters of a query.
          onError(error)
        }
      },
      async cancel() {
        await rest.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}
