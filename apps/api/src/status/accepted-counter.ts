import { bookAccepted, type IngestAccount } from '@tidings/db/events/ingest-counters'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import type pg from 'pg'
import type { Ingest } from './ingest.ts'

/** Writes down, every second, how many events this process has accepted. */
export interface AccountKeeper {
  /** Writes the last figure. */
  close(): Promise<void>
}

const INTERVAL_MS = 1_000
/** An account that says nothing for a day counts as ended, so an idle process says something. */
const HEARTBEAT_MS = 60_000

export function keepAccount(
  pool: pg.Pool,
  account: IngestAccount,
  ingest: Pick<Ingest, 'accepted' | 'inDoubt'>,
  log: Logger,
): AccountKeeper {
  let written = -1
  let writtenAt = 0
  let writing: Promise<void> | undefined

  async function write() {
    const { accepted, inDoubt } = ingest
    // What is in doubt is accepted too: the one figure moves with the other.
    if (accepted === written && Date.now() - writtenAt < HEARTBEAT_MS) return
    await bookAccepted(pool, account, accepted, inDoubt)
    written = accepted
    writtenAt = Date.now()
  }

  function writeOnce(): Promise<void> {
    writing ??= write()
      .catch((error: unknown) => log.debug({ error: errorMessage(error) }, 'account not written, will be'))
      .finally(() => {
        writing = undefined
      })
    return writing
  }

  const timer = setInterval(() => void writeOnce(), INTERVAL_MS)
  timer.unref()
  void writeOnce()
  return {
    async close() {
      clearInterval(timer)
      await writing
      await writeOnce()
    },
  }
}
