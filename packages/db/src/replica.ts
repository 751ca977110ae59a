import type { Database } from './database.ts'
import { classifyFailure, sqlState } from './failure.ts'

export interface ReplicaOptions {
  primary: Database
  /** A pool of its own. Closing it is the caller's. */
  replica: Database
  /** Called when reads begin to go to the replica, and when they cease to. */
  onChange(isUsed: boolean): void
  intervalMs?: number
}

const INTERVAL_MS = 1_000
const ANSWER_LIMIT_MS = 1_000
const QUERY_CANCELED = '57014'

/**
 * Sends reads to a replica while it is at most about two intervals behind the primary, and otherwise to the primary. A
 * read that the replica cannot answer is repeated on the primary.
 *
 * Every second it asks the replica for the position in the log that the primary had a second ago. Times would not do: a
 * replica without news may be up to date or cut off. While the primary is away, the replica counts as up to date.
 */
export class Replica {
  readonly #options: ReplicaOptions
  readonly #timer: NodeJS.Timeout
  #position: string | undefined
  #isUsed = false
  #isClosed = false
  /** Rejects when the replica turns out to be away. Reads that wait for it then go to the primary. */
  #away = Promise.withResolvers<never>()
  #check: Promise<void> | undefined

  constructor(options: ReplicaOptions) {
    this.#options = options
    this.#away.promise.catch(() => undefined)
    this.#timer = setInterval(() => this.#checkOnce(), options.intervalMs ?? INTERVAL_MS)
    this.#checkOnce()
  }

  async run<Result>(query: (db: Database) => Promise<Result>): Promise<Result> {
    const { primary, replica } = this.#options
    if (!this.#isUsed) return query(primary)
    try {
      return await Promise.race([query(replica), this.#away.promise])
    } catch (error) {
      const failure = classifyFailure(error)
      // The primary would refuse it too, or take as long.
      if (failure === 'permanent' || sqlState(error) === QUERY_CANCELED) throw error
      if (failure === 'outage') this.#use(false)
      return query(primary)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    await this.#check
  }

  #checkOnce(): void {
    this.#check ??= this.#isUpToDate()
      .then(
        (isUpToDate) => this.#use(isUpToDate),
        (error: unknown) => {
          this.#use(false)
          this.#away.reject(error)
          this.#away = Promise.withResolvers()
          this.#away.promise.catch(() => undefined)
        },
      )
      .finally(() => {
        this.#check = undefined
      })
  }

  async #isUpToDate(): Promise<boolean> {
    const before = this.#position
    const { primary, replica } = this.#options
    const [position, isUpToDate] = await Promise.all([
      readPosition(primary).catch(() => before),
      before === undefined ? false : hasReplayed(replica, before),
    ])
    this.#position = position
    return isUpToDate
  }

  #use(isUsed: boolean): void {
    if (isUsed === this.#isUsed || this.#isClosed) return
    this.#isUsed = isUsed
    this.#options.onChange(isUsed)
  }
}

async function readPosition({ pool }: Database): Promise<string | undefined> {
  const { rows } = await pool.query<{ position: string }>(
    withLimit('SELECT pg_current_wal_lsn() AS position'),
  )
  return rows[0]?.position
}

/** False also for a replica that was promoted: it may go another way than the primary. */
async function hasReplayed({ pool }: Database, position: string): Promise<boolean> {
  const { rows } = await pool.query<{ replayed: boolean }>(
    withLimit('SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= $1::pg_lsn AS replayed', [
      position,
    ]),
  )
  return rows[0]?.replayed ?? false
}

/** A query whose answer is waited for a second. Its connection is closed after that. */
const withLimit = (text: string, values: string[] = []) => ({ text, values, query_timeout: ANSWER_LIMIT_MS })
