import pg from 'pg'
import { leaveErrorsToQueries } from '../database.ts'
import { createPartitions, startOfMonth } from '../events/partitions.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import {
  CLASSIFY_AGAIN,
  CLASSIFY_LOGS,
  CLASSIFY_USERS,
  COUNT,
  IMPORT_LOGS,
  IMPORT_USERS,
  MARK_TAKEN,
  STAGE,
  STAGE_PREFERENCES,
  STAGE_USERS,
  UPDATE_USERS,
} from './import-statements.ts'
import {
  type ImportedPreferences,
  type ImportedStatusLog,
  type ImportedUser,
  logColumns,
  preferencesColumns,
  userColumns,
} from './imported-rows.ts'

/** The staged users by verdict, and some of their properties. */
interface UserImportCounts {
  found: number
  /** New here. */
  importable: number
  /** A user with this id exists here, and changed in the other system since. */
  changed: number
  /** A user with this id exists here, and is as new or newer. */
  alreadyThere: number
  /** Another staged user has the same address, apart from case. None of them is imported. */
  caseDuplicates: number
  /** The user was erased here and is not imported again. */
  erased: number
  /** Another user here has the address. */
  emailTaken: number
  inactive: number
  staff: number
  /** Users who cannot log in with their password: it is `!…`, damaged, or uses another algorithm. */
  unusablePasswords: number
  maxIterations: number
}

/** The users of one batch by verdict. */
export interface UserBatch {
  /** 0 when no user is left. */
  taken: number
  imported: number
  updated: number
  // Since they were classified, another user took their address or id, or they were erased here.
  emailTaken: number
  alreadyThere: number
  erased: number
}

export interface ImportConflict {
  kind: 'case_duplicate' | 'email_taken'
  id: string
  email: string
}

/** Older logs share the default partition: a partition for each month of a wrong clock would slow down every reader. */
const MAX_LOG_AGE_MONTHS = 120

interface VerdictRow {
  verdict: string
}

/**
 * An import of users on its own connection. It stages the users of the other system in temporary tables, which no other
 * connection sees. Closing it drops them. The imported rows stay.
 */
export class UserImport {
  readonly #client: pg.Client
  /** The months that have a partition, as far as this import knows. */
  readonly #months = new Set<number>()

  private constructor(client: pg.Client) {
    this.#client = client
  }

  /** Connects without the time limits of requests: classifying a million users takes longer. */
  static async open(databaseUrl: string): Promise<UserImport> {
    const client = new pg.Client({ connectionString: databaseUrl, application_name: 'tidings-import' })
    leaveErrorsToQueries(client)
    await client.connect()
    try {
      await client.query(STAGE)
    } catch (error) {
      await client.end()
      throw error
    }
    return new UserImport(client)
  }

  async stageUsers(users: readonly ImportedUser[]): Promise<void> {
    await this.#client.query(STAGE_USERS, userColumns(users))
  }

  async stagePreferences(preferences: readonly ImportedPreferences[]): Promise<void> {
    await this.#client.query(STAGE_PREFERENCES, preferencesColumns(preferences))
  }

  /** Gives each staged user a verdict. Call it once, after everything is staged and before the other methods. */
  async classify(): Promise<UserImportCounts> {
    await this.#client.query(CLASSIFY_USERS)
    const { rows } = await this.#client.query<UserImportCounts>(COUNT)
    const [counts] = rows
    if (counts === undefined) throw new Error('Counting gave no row')
    return counts
  }

  /** Users who are not imported because others have their address. */
  async listConflicts(limit: number): Promise<ImportConflict[]> {
    const { rows } = await this.#client.query<ImportConflict>(
      `SELECT verdict AS kind, id, email FROM django_user WHERE verdict IN ('case_duplicate', 'email_taken')
       ORDER BY lower(email), id LIMIT $1`,
      [limit],
    )
    return rows
  }

  /** Imports up to `limit` users, all or none. */
  async importUsers(limit: number): Promise<UserBatch> {
    return this.#finishBatch((await this.#client.query<VerdictRow>(IMPORT_USERS, [limit])).rows)
  }

  /** Updates up to `limit` users who changed since they were imported, all or none. */
  async updateUsers(limit: number): Promise<UserBatch> {
    try {
      return await this.#finishBatch((await this.#client.query<VerdictRow>(UPDATE_USERS, [limit])).rows)
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error
      const { rows } = await this.#client.query<VerdictRow>(MARK_TAKEN)
      // Without a user to skip, the next attempt would violate the constraint again.
      if (rows.length === 0) throw error
      return countVerdicts(rows)
    }
  }

  /** Imports a batch of logs. Importing it again changes nothing. With `dryRun` it only counts. */
  async importStatusLogs(
    logs: readonly ImportedStatusLog[],
    { dryRun }: { dryRun: boolean },
  ): Promise<{ imported: number; alreadyThere: number; unknownUser: number }> {
    const values = logColumns(logs)
    const { rows } = await this.#client.query<{ alreadyThere: boolean; known: boolean }>(
      CLASSIFY_LOGS,
      values,
    )
    const alreadyThere = rows.filter((row) => row.alreadyThere).length
    const unknownUser = rows.filter((row) => !row.alreadyThere && !row.known).length
    if (!dryRun) {
      await this.#createPartitions(logs)
      await this.#client.query(IMPORT_LOGS, values)
    }
    return { imported: rows.length - alreadyThere - unknownUser, alreadyThere, unknownUser }
  }

  close(): Promise<void> {
    return this.#client.end()
  }

  /** Creates the partitions of the logs' months, except of impossible ones: those logs go to the default partition. */
  async #createPartitions(logs: readonly ImportedStatusLog[]): Promise<void> {
    const now = new Date()
    const [oldest, newest] = [startOfMonth(now, -MAX_LOG_AGE_MONTHS), startOfMonth(now, 1)]
    const months = logs
      .map(({ timestamp }) => startOfMonth(new Date(timestamp)))
      .filter((month) => oldest <= month && month < newest && !this.#months.has(month.getTime()))
    if (months.length === 0) return
    await createPartitions(this.#client, months)
    for (const month of months) this.#months.add(month.getTime())
  }

  /** Classifies the raced users of a batch again, and counts the verdicts. */
  async #finishBatch(rows: VerdictRow[]): Promise<UserBatch> {
    const settled = rows.filter(({ verdict }) => verdict !== 'raced')
    if (settled.length === rows.length) return countVerdicts(rows)
    const raced = await this.#client.query<VerdictRow>(CLASSIFY_AGAIN)
    return { ...countVerdicts([...settled, ...raced.rows]), taken: rows.length }
  }
}

function countVerdicts(rows: readonly VerdictRow[]): UserBatch {
  const count = (wanted: string) => rows.filter(({ verdict }) => verdict === wanted).length
  return {
    taken: rows.length,
    imported: count('imported'),
    updated: count('updated'),
    emailTaken: count('email_taken'),
    alreadyThere: count('already_there'),
    erased: count('erased'),
  }
}
