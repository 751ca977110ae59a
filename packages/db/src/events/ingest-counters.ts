import type { Database } from '../database.ts'

/**
 * Events by what happened to them: acknowledged by an API, or found stored already. The counts are a report. They are
 * not exact after a process was killed. status_counts has the events that became rows.
 */
export interface IngestCounts {
  accepted: number
  duplicate: number
}

const FLUSH_INTERVAL_MS = 1_000

/** Counts in memory and adds the counts to PostgreSQL once a second, so that no insert waits for a counter. */
export class IngestCounters {
  readonly #db: Database
  readonly #onError: (error: unknown) => void
  readonly #timer: NodeJS.Timeout
  #pending: IngestCounts = zero()
  #writing: Promise<void> | undefined

  /** @param onError called when a flush failed; the counts are kept for the next one. */
  constructor(db: Database, onError: (error: unknown) => void) {
    this.#db = db
    this.#onError = onError
    this.#timer = setInterval(() => void this.#startWrite(), FLUSH_INTERVAL_MS)
    this.#timer.unref()
  }

  add(counts: Partial<IngestCounts>): void {
    addTo(this.#pending, counts)
  }

  /** Writes everything that was counted before the call. Never rejects. */
  async flush(): Promise<void> {
    // A write that runs already does not have the newest counts.
    await this.#writing
    await this.#startWrite()
  }

  /** Stops the timer and writes the last counts. */
  close(): Promise<void> {
    clearInterval(this.#timer)
    return this.flush()
  }

  /** Joins a write that runs. */
  #startWrite(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  async #write(): Promise<void> {
    const counts = this.#pending
    if (Object.values(counts).every((count) => count === 0)) return
    this.#pending = zero()
    try {
      await addIngestCounts(this.#db, counts)
    } catch (error) {
      addTo(this.#pending, counts)
      this.#onError(error)
    }
  }
}

/** Adds to the counters. Also a cheap way to find out whether PostgreSQL takes writes. */
export async function addIngestCounts(db: Database, counts: Partial<IngestCounts>): Promise<void> {
  // Sorted by name: two statements that lock the same rows in another order would deadlock.
  await db.pool.query(
    `INSERT INTO ingest_counters (name, value)
     SELECT name, value FROM unnest($1::text[], $2::bigint[]) AS added(name, value) ORDER BY name
     ON CONFLICT (name) DO UPDATE SET value = ingest_counters.value + excluded.value, updated_at = now()`,
    [Object.keys(counts), Object.values(counts)],
  )
}

export async function readIngestCounts(db: Database): Promise<IngestCounts> {
  const { rows } = await db.pool.query<{ name: string; value: string }>(
    'SELECT name, value FROM ingest_counters',
  )
  const read = (name: keyof IngestCounts) => Number(rows.find((row) => row.name === name)?.value ?? 0)
  return { accepted: read('accepted'), duplicate: read('duplicate') }
}

const zero = (): IngestCounts => ({ accepted: 0, duplicate: 0 })

function addTo(total: IngestCounts, counts: Partial<IngestCounts>): void {
  total.accepted += counts.accepted ?? 0
  total.duplicate += counts.duplicate ?? 0
}
