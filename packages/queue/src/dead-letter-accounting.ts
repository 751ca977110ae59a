import { AUDIT_DELETE } from '@tidings/db/audit-actions'
import type { Database } from '@tidings/db/database'
import { readIngestTotals } from '@tidings/db/ingest-accounts'
import { readDeadLetterChanges } from '@tidings/db/operator-audit'
import { countParkedEvents } from '@tidings/db/parked-events'
import { findStoredContent } from '@tidings/db/status-events'
import { SCAN_PAGE } from './dead-letter-entry.ts'
import type { DeadLetterStore } from './dead-letter-store.ts'

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
}

/** Adds everything up. Exact while nothing moves. */
export async function readBalance(db: Database, store: DeadLetterStore): Promise<Balance> {
  const [totals, parked, queued, dead, changes] = await Promise.all([
    readIngestTotals(db.pool),
    countParkedEvents(db.pool),
    store.countQueuedEvents(),
    store.count(),
    readDeadLetterChanges(db),
  ])
  let { deleted, imported } = changes
  for (const { action, ids } of changes.unfinished) {
    if (action === AUDIT_DELETE) deleted += ids.length - (await countPresent(store, ids))
    else imported += await countImported(db, store, ids)
  }
  const { accepted, stored, duplicate, redelivered } = totals
  const inFlight = queued === undefined ? undefined : queued + parked
  const missing =
    inFlight === undefined ? undefined : accepted + imported - stored - duplicate - dead - deleted - inFlight
  return { accepted, stored, duplicate, dead, deleted, imported, inFlight, missing, redelivered }
}

async function countPresent(store: DeadLetterStore, ids: readonly string[]): Promise<number> {
  let present = 0
  for (let start = 0; start < ids.length; start += SCAN_PAGE)
    present += (await store.get(ids.slice(start, start + SCAN_PAGE))).length
  return present
}

/** An import that was killed: what it announced was added if it is here now, or stored since. */
async function countImported(db: Database, store: DeadLetterStore, ids: readonly string[]): Promise<number> {
  const present = new Set((await store.get(ids)).map((entry) => entry.id))
  const absent = ids
    .filter((id) => !present.has(id))
    .map((id) => id.slice('dead-'.length, 'dead-'.length + 36))
  return present.size + (await findStoredContent(db.pool, absent)).size
}
