import type { EraseElsewhere } from '@tidings/accounts/erase-user'
import type { Database } from '@tidings/db/database'
import { listLiveMessages } from '@tidings/db/users/outbound-messages'
import type { QueueBackend } from '@tidings/queue/backend'
import { removeMessages, withOutboundQueue } from '@tidings/queue/outbound-queue'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { AppError } from '@tidings/shared/errors'

interface OutboundEraserOptions {
  db: Database
  backend: QueueBackend
  log: Logger
}

/**
 * Time until a second removal. During the first one a message may be on its way to the queue, or be sent and then wait
 * for a retry.
 */
const REPEAT_AFTER_MS = 15_000

export interface OutboundEraser {
  erase: EraseElsewhere
  /** Cancels second removals. */
  close(): void
}

/** Takes the messages of erased users off the queue of outbound messages. */
export function createOutboundEraser({ db, backend, log }: OutboundEraserOptions): OutboundEraser {
  const onError = throttledWarning(log, 'outbound queue connection')
  const repeats = new Set<NodeJS.Timeout>()
  const remove = (ids: readonly string[]) =>
    withOutboundQueue(backend, onError, (queue) => removeMessages(queue, ids))

  return {
    async erase({ id }) {
      const ids = await listLiveMessages(db, id)
      if (ids.length === 0) return
      await remove(ids).catch((cause: unknown) => {
        throw new AppError(
          'unavailable',
          'The account cannot be erased completely right now. Try again shortly.',
          {
            cause,
          },
        )
      })
      const timer = setTimeout(() => {
        repeats.delete(timer)
        remove(ids).catch(onError)
      }, REPEAT_AFTER_MS)
      timer.unref()
      repeats.add(timer)
    },
    close() {
      for (const timer of repeats) clearTimeout(timer)
    },
  }
}
