import type { Database } from '@tidings/db/database'
import { countOutboxEvents } from '@tidings/db/events/event-outbox'
import { readIngestCounts } from '@tidings/db/events/ingest-counters'
import { countStoredEvents } from '@tidings/db/events/status-counts'
import { readDeadLetterChanges } from '@tidings/db/operators/audit'
import type { DeadLetterStore } from './dead-letters/store.ts'

/** Where the accepted events are, for `tidings doctor`. A report, not a proof: see docs/reliability.md. */
interface EventBalance {
  accepted: number
  stored: number
  /** Accepted again, and found stored already. */
  duplicate: number
  dead: number
  /** Dead letters that operators deleted. */
  deleted: number
  /** Dead letters that operators imported. */
  imported: number
  /** On the main queue or in the outbox; undefined when there are too many jobs to read. */
  inFlight: number | undefined
  /**
   * accepted + imported - stored - duplicate - dead - deleted - inFlight; undefined when inFlight is. Zero at rest,
   * unless a process was killed, an event was sent on two ways, or sent again while it was a dead letter.
   */
  difference: number | undefined
}

export async function readEventBalance(db: Database, store: DeadLetterStore): Promise<EventBalance> {
  const [counts, stored, outbox, queued, dead, changes] = await Promise.all([
    readIngestCounts(db),
    countStoredEvents(db),
    countOutboxEvents(db),
    store.countQueuedEvents(),
    store.count(),
    readDeadLetterChanges(db),
  ])
  const { accepted, duplicate } = counts
  const { deleted, imported } = changes
  const inFlight = queued === undefined ? undefined : queued + outbox
  const difference =
    inFlight === undefined ? undefined : accepted + imported - stored - duplicate - dead - deleted - inFlight
  return { accepted, stored, duplicate, dead, deleted, imported, inFlight, difference }
}
