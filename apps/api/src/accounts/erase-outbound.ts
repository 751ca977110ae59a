import type { EraseElsewhere } from '@tidings/accounts/erase-user'
import type { Database } from '@tidings/db/database'
import { listLiveMessages } from '@tidings/db/users/outbound-messages'
import type { QueueBackend } from '@tidings/queue/backend'
import { removeMessages, withOutboundQueue } from '@tidings/queue/outbound-queue'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { cannotErase, REPEAT_AFTER_MS } from './erase-elsewhere.ts'

interface OutboundEraserOptions {
  db: Database
  backend: QueueBackend
  log: Logger
}

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
      await remove(ids).catch((error: unknown) => {
        throw cannotErase(error)
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
