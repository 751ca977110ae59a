import { bookAccepted, type IngestAccount } from '@tidings/db/events/ingest-counters'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import type pg from 'pg'
import type { Ingest } from './ingest.ts'

/** Stores every second how many events this process has accepted. */
export interface AccountKeeper {
  /** Stores the final count. */
  close(): Promise<void>
}

const INTERVAL_MS = 1_000
/** An account without writes for a day counts as ended, so an idle process writes once a minute. */
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
    // inDoubt only changes together with accepted.
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
