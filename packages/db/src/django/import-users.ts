import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { leaveErrorsToQueries } from '../database.ts'
import { createPartitions, startOfMonth } from '../events/partitions.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import { applySettings } from '../session-settings.ts'
import { PASSWORD_CHANGE_VOIDS, voidTokensOf } from '../users/one-time-tokens.ts'
import { replaceUnverifiedUser } from '../users/replace-unverified-user.ts'
import {
  CLASSIFY_AGAIN,
  CLASSIFY_LOGS,
  CLASSIFY_USERS,
  COUNT,
  COUNT_CONFLICTS,
  COUNT_PASSWORDS,
  FIND_REPLACED_AGAIN,
  IMPORT_LOGS,
  IMPORT_USERS,
  KEEP_REPLACED,
  LIST_CONFLICTS,
  LIST_NEW_PASSWORDS,
  LIST_REPLACED,
  LOCK_USERS,
  MARK_TAKEN,
  PICK_BATCH,
  STAGE,
  STAGE_PREFERENCES,
  STAGE_USERS,
  UPDATE_USERS,
  WRITE_DEVICES,
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
  /** Another user here proved the address. */
  emailTaken: number
  inactive: number
  staff: number
  /** The cost of the most expensive hash, in iterations of PBKDF2-SHA256. */
  maxIterations: number
  /** How many users have a password of each kind. A kind without users may be absent. */
  passwords: ReadonlyMap<ImportedUser['passwordKind'], number>
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
  /** `replaced`: an account here that was erased, because it never proved the address of an imported user. */
  kind: 'case_duplicate' | 'email_taken' | 'replaced' | 'push_token'
  id: string
  email: string
}

interface ConflictCounts {
  /** Accounts here that were erased for an imported user. */
  replaced: number
  /** Written users whose push token another user has. */
  lostTokens: number
}

interface ImportConflicts extends ConflictCounts {
  listed: ImportConflict[]
}
/** Older logs share the default partition: a partition for each month of a wrong clock would slow down every reader. */
const MAX_LOG_AGE_MONTHS = 120
/** Limits that the user may have are for requests. */
const withoutLimits = applySettings({ statement_timeout: 0 })

interface VerdictRow {
  verdict: string
}

/**
 * An import of users on its own connection. It stages the users of the other system in temporary tables, which no other
 * connection sees. Closing it drops them. The imported rows stay.
 */
export class UserImport {
  readonly #client: pg.Client
  readonly #orm: NodePgDatabase
  /** The months that have a partition, as far as this import knows. */
  readonly #months = new Set<number>()

  private constructor(client: pg.Client) {
    this.#client = client
    this.#orm = drizzle({ client })
  }

  /**
   * Connects without the time limits of requests: classifying a million users takes longer.
   *
   * @throws PooledConnectionError when a pooler is on the way.
   */
  static async open(databaseUrl: string): Promise<UserImport> {
    const client = new pg.Client({ connectionString: databaseUrl, application_name: 'tidings-import' })
    leaveErrorsToQueries(client)
    await client.connect()
    try {
      // A temporary table stays with the session, which a pooler hands to others.
      await withoutLimits(client)
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
    const { rows } = await this.#client.query<Omit<UserImportCounts, 'passwords'>>(COUNT)
    const [counts] = rows
    if (counts === undefined) throw new Error('Counting gave no row')
    const passwords = await this.#client.query<{ kind: ImportedUser['passwordKind']; count: number }>(
      COUNT_PASSWORDS,
    )
    return { ...counts, passwords: new Map(passwords.rows.map(({ kind, count }) => [kind, count])) }
  }

  /**
   * Counts and lists what the import decided between two users. Call it after the writes: somebody may have registered
   * here meanwhile with the address of a staged user. With `dryRun` it tells what the writes would do.
   */
  async findConflicts({ limit, dryRun }: { limit: number; dryRun: boolean }): Promise<ImportConflicts> {
    const counted = await this.#client.query<ConflictCounts>(COUNT_CONFLICTS, [dryRun])
    const [counts = { replaced: 0, lostTokens: 0 }] = counted.rows
    const { rows } = await this.#client.query<ImportConflict>(LIST_CONFLICTS, [dryRun, limit])
    return { ...counts, listed: rows }
  }

  /** Imports up to `limit` users, all or none. */
  async importUsers(limit: number): Promise<UserBatch> {
    return this.#finishBatch(await this.#writeBatch('importable', IMPORT_USERS, limit))
  }

  /** Updates up to `limit` users who changed since they were imported, all or none. */
  async updateUsers(limit: number): Promise<UserBatch> {
    try {
      return await this.#finishBatch(await this.#writeBatch('changed', UPDATE_USERS, limit))
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error
      const { rows: taken } = await this.#client.query<VerdictRow>(MARK_TAKEN)
      const { rows: found } = await this.#client.query(FIND_REPLACED_AGAIN)
      // Without a user to skip or to replace, the next attempt would violate the constraint again.
      if (taken.length + found.length === 0) throw error
      return taken.length > 0 ? countVerdicts(taken) : this.updateUsers(limit)
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

  /** Frees the addresses of a batch, then writes its users and devices in one transaction. */
  async #writeBatch(verdict: 'importable' | 'changed', statement: string, limit: number) {
    const picked = await this.#client.query<{ id: string }>(PICK_BATCH, [verdict, limit])
    const ids = picked.rows.map(({ id }) => id)
    await this.#replaceAccounts(ids)
    return this.#orm.transaction(async (tx) => {
      await this.#client.query(LOCK_USERS, [ids])
      const { rows } = await this.#client.query<VerdictRow>(statement, [ids])
      if (verdict === 'changed') {
        const changed = await this.#client.query<{ id: string }>(LIST_NEW_PASSWORDS, [ids])
        const userIds = changed.rows.map(({ id }) => id)
        await voidTokensOf({ orm: tx }, userIds, PASSWORD_CHANGE_VOIDS)
      }
      for (const write of WRITE_DEVICES) await this.#client.query(write, [ids])
      return rows
    })
  }

  /** Erases the accounts here whose address belongs to a user of the batch. */
  async #replaceAccounts(ids: readonly string[]): Promise<void> {
    const { rows } = await this.#client.query<{ id: string; replaces: string; email: string }>(
      LIST_REPLACED,
      [ids],
    )
    for (const { id, replaces, email } of rows) {
      const isReplaced = await replaceUnverifiedUser({ orm: this.#orm }, replaces, email)
      // It was verified or erased meanwhile, or has another address.
      if (!isReplaced) await this.#client.query(KEEP_REPLACED, [id])
    }
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
