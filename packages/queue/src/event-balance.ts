import type { Database } from '@tidings/db/database'
import { countOutboxEvents } from '@tidings/db/events/event-outbox'
import { readIngestTotals } from '@tidings/db/events/ingest-counters'
import { findStoredContent } from '@tidings/db/events/status-events'
import { readDeadLetterChanges } from '@tidings/db/operators/audit'
import { AUDIT_DELETE } from '@tidings/db/operators/audit-actions'
import { splitDeadLetterId } from './dead-letters/bury.ts'
import { SCAN_PAGE } from './dead-letters/entry.ts'
import type { DeadLetterStore } from './dead-letters/store.ts'

/** Where every accepted event is. At rest: accepted + imported = stored + duplicate + dead + deleted + in flight. */
export interface Balance {
  accepted: number
  stored: number
  duplicate: number
  dead: number
  /** Dead letters that operators deleted. */
  deleted: number
  /** Dead letters that operators brought in from elsewhere. */
  imported: number
  /** On the main queue or parked; undefined when there are too many jobs to read. */
  inFlight: number | undefined
  /** Accepted and nowhere to be found when positive; found and never booked as accepted when negative. */
  missing: number | undefined
  /**
   * Found again in a job that was delivered twice. After a kill a repeat may be booked here instead of under
   * `duplicate`, so that many may seem to be missing.
   */
  redelivered: number
  /**
   * Stored directly because the queue did not answer in time. Where it had taken them all the same they are found
   * twice and were accepted once, so that many more may seem to be there.
   */
  inDoubt: number
}

/** Adds everything up. Exact while nothing moves. */
export async function readBalance(db: Database, store: DeadLetterStore): Promise<Balance> {
  const [totals, parked, queued, dead, changes] = await Promise.all([
    readIngestTotals(db.pool),
    countOutboxEvents(db.pool),
    store.countQueuedEvents(),
    store.count(),
    readDeadLetterChanges(db),
  ])
  let { deleted, imported } = changes
  for (const { action, ids } of changes.unfinished) {
    const found = await countFound(db, store, ids)
    if (action === AUDIT_DELETE) deleted += ids.length - found
    else imported += found
  }
  const { accepted, stored, duplicate, redelivered, inDoubt } = totals
  const inFlight = queued === undefined ? undefined : queued + parked
  const missing =
    inFlight === undefined ? undefined : accepted + imported - stored - duplicate - dead - deleted - inFlight
  return { accepted, stored, duplicate, dead, deleted, imported, inFlight, missing, redelivered, inDoubt }
}

/** Of these entries, those that are dead letters now, or redriven and stored since. */
async function countFound(db: Database, store: DeadLetterStore, ids: readonly string[]): Promise<number> {
  let found = 0
  for (let start = 0; start < ids.length; start += SCAN_PAGE) {
    const page = ids.slice(start, start + SCAN_PAGE)
    const dead = await store.sizes(page)
    const others = page.filter((id) => !dead.has(id)).map(splitDeadLetterId)
    const rows = await findStoredContent(
      db.pool,
      others.map(({ eventId }) => eventId),
    )
    const stored = others.filter(
      ({ eventId, content }) => rows.has(eventId) && (rows.get(eventId) ?? '').startsWith(content),
    )
    found += dead.size + stored.length
  }
  return found
}
