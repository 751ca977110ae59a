import { errorMessage } from '@tidings/shared/errors'
import type { Database } from './database.ts'
import { classifyFailure, sqlState } from './failure.ts'

export interface ReplicaOptions {
  primary: Database
  replica: Database
  /** The same two for the checks, with a connection each: reads may take all others. Closing all four is the caller's. */
  checks: { primary: Database; replica: Database }
  /** Called when reads begin to go to the replica, and when they cease to: then with the reason. */
  onChange(isUsed: boolean, reason?: string): void
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
  #position: Position | undefined
  /** Undefined until the first verdict. */
  #isUsed: boolean | undefined
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
      // The primary would refuse it too, or take as long.
      if (classifyFailure(error) === 'permanent' || sqlState(error) === QUERY_CANCELED) throw error
      return query(primary)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    await this.#check
  }

  #checkOnce(): void {
    this.#check ??= this.#findProblem()
      .catch((error: unknown) => {
        this.#away.reject(error)
        this.#away = Promise.withResolvers()
        this.#away.promise.catch(() => undefined)
        return errorMessage(error)
      })
      .then((problem) => this.#judge(problem))
      .finally(() => {
        this.#check = undefined
      })
  }

  /** Says why the replica cannot be used: null when it can, undefined while that is unknown. */
  async #findProblem(): Promise<string | null | undefined> {
    const before = this.#position
    const { primary, replica } = this.#options.checks
    const [position, problem] = await Promise.all([
      readPosition(primary).catch(() => before),
      before && findProblem(replica, before),
    ])
    this.#position = position
    return problem
  }

  #judge(problem: string | null | undefined): void {
    const isUsed = problem === null
    if (problem === undefined || isUsed === this.#isUsed || this.#isClosed) return
    this.#isUsed = isUsed
    this.#options.onChange(isUsed, problem ?? undefined)
  }
}

/** A position in the log, and the database whose log it is. */
interface Position {
  position: string
  database: string
}

/** Names a database of a cluster. A standby has the same name; a copy or another cluster has another one. */
const DATABASE = "(SELECT system_identifier || '/' || current_database() FROM pg_control_system())"

async function readPosition({ pool }: Database): Promise<Position | undefined> {
  const { rows } = await pool.query<Position>(
    withLimit(`SELECT pg_current_wal_lsn() AS position, ${DATABASE} AS database`),
  )
  return rows[0]
}

/** A replica that was promoted may go another way than the primary. */
async function findProblem({ pool }: Database, { position, database }: Position): Promise<string | null> {
  const { rows } = await pool.query<{ problem: string | null }>(
    withLimit(
      `SELECT CASE
         WHEN ${DATABASE} <> $2 THEN 'it holds another database'
         WHEN NOT pg_is_in_recovery() THEN 'it is no replica'
         WHEN pg_last_wal_replay_lsn() >= $1::pg_lsn THEN NULL
         ELSE 'it is behind' END AS problem`,
      [position, database],
    ),
  )
  return rows[0]?.problem ?? null
}

/** A query whose answer is waited for a second. Its connection is closed after that. */
const withLimit = (text: string, values: string[] = []) => ({ text, values, query_timeout: ANSWER_LIMIT_MS })
