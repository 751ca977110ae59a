import pg from 'pg'
import { leaveErrorsToQueries } from '../database.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import {
  CLASSIFY,
  COUNT,
  IMPORT_LOGS,
  IMPORT_USERS,
  JUDGE_LOGS,
  JUDGE_RACED,
  JUDGE_TAKEN,
  STAGE,
  STAGE_PREFERENCES,
  STAGE_USERS,
  UPDATE_USERS,
} from './import-statements.ts'

/** A user of the Django service, as it is carried over. Times are ISO 8601. */
export interface ImportedUser {
  id: string
  email: string
  name: string
  password: string
  pushToken: string | null
  emailNotifications: boolean
  pushNotifications: boolean
  isActive: boolean
  isStaff: boolean
  lastLoginAt: string | null
  createdAt: string
  updatedAt: string
}

export interface ImportedPreferences {
  userId: string
  email: boolean
  push: boolean
}

export interface ImportedStatusLog {
  id: string
  notificationId: string
  userId: string | null
  notificationType: 'email' | 'push'
  status: 'delivered' | 'pending' | 'failed'
  error: string | null
  timestamp: string
}

/** What would become of the staged users, or has. */
export interface UserImportCounts {
  found: number
  /** New here. */
  importable: number
  /** Here already under the same id, and changed in the other system since. */
  changed: number
  /** Here already under the same id, and as new or newer. */
  alreadyThere: number
  /** Share their address with another of them, whatever its case: none of these is imported. */
  caseDuplicates: number
  /** Were erased here: they do not come back. */
  erased: number
  /** Share their address with somebody else who is here. */
  emailTaken: number
  inactive: number
  staff: number
  /** Never log in with a password: `!…`, or another algorithm. */
  unusablePasswords: number
  maxIterations: number
}

/** What became of the users of one batch. */
export interface UserBatch {
  /** How many there were; 0 when none is left. */
  taken: number
  imported: number
  updated: number
  // Since they were classified somebody else took their address, or their id, or erased them here.
  emailTaken: number
  alreadyThere: number
  erased: number
}

export interface ImportConflict {
  kind: 'case_duplicate' | 'email_taken'
  id: string
  email: string
}

/** A connection with the users of another system in temporary tables: nothing else sees them. */
export interface UserImport {
  stageUsers(users: readonly ImportedUser[]): Promise<void>
  stagePreferences(preferences: readonly ImportedPreferences[]): Promise<void>
  /** Call after everything is staged; the rest depends on it. */
  classify(): Promise<UserImportCounts>
  /** Those that are not imported since their address is not theirs alone. */
  listConflicts(limit: number): Promise<ImportConflict[]>
  /** Imports up to `limit` users, whole or not at all. */
  importUsers(limit: number): Promise<UserBatch>
  /** Brings up to `limit` users up to date who changed since they were imported, whole or not at all. */
  updateUsers(limit: number): Promise<UserBatch>
  /** Imports a batch; the same again changes nothing. With `dryRun` it only says what would become of it. */
  importStatusLogs(
    logs: readonly ImportedStatusLog[],
    options: { dryRun: boolean },
  ): Promise<{ imported: number; alreadyThere: number; unknownUser: number }>
  close(): Promise<void>
}

/**
 * Opens an import on a connection of its own, without the time limits of requests: classifying a million
 * users takes longer. Closing it forgets what is staged; what is imported stays.
 */
export async function openUserImport(databaseUrl: string): Promise<UserImport> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'tidings-import' })
  leaveErrorsToQueries(client)
  await client.connect()
  try {
    await client.query(STAGE)
  } catch (error) {
    await client.end()
    throw error
  }

  async function validateBatch(rows: Judged[]): Promise<UserBatch> {
    const settled = rows.filter(({ verdict }) => verdict !== 'raced')
    if (settled.length === rows.length) return countVerdicts(rows)
    const raced = await client.query<Judged>(JUDGE_RACED)
    return { ...countVerdicts([...settled, ...raced.rows]), taken: rows.length }
  }

  return {
    async stageUsers(users) {
      await client.query(STAGE_USERS, [
        users.map((user) => user.id),
        users.map((user) => user.email),
        users.map((user) => user.name),
        users.map((user) => user.password),
        users.map((user) => user.pushToken),
        users.map((user) => user.emailNotifications),
        users.map((user) => user.pushNotifications),
        users.map((user) => user.isActive),
        users.map((user) => user.isStaff),
        users.map((user) => user.lastLoginAt),
        users.map((user) => user.createdAt),
        users.map((user) => user.updatedAt),
      ])
    },

    async stagePreferences(preferences) {
      await client.query(STAGE_PREFERENCES, [
        preferences.map((preference) => preference.userId),
        preferences.map((preference) => preference.email),
        preferences.map((preference) => preference.push),
      ])
    },

    async classify() {
      await client.query(CLASSIFY)
      const { rows } = await client.query<UserImportCounts>(COUNT)
      const [counts] = rows
      if (counts === undefined) throw new Error('Counting gave no row')
      return counts
    },

    async listConflicts(limit) {
      const { rows } = await client.query<ImportConflict>(
        `SELECT verdict AS kind, id, email FROM django_user WHERE verdict IN ('case_duplicate', 'email_taken')
         ORDER BY lower(email), id LIMIT $1`,
        [limit],
      )
      return rows
    },

    async importUsers(limit) {
      return validateBatch((await client.query<Judged>(IMPORT_USERS, [limit])).rows)
    },

    async updateUsers(limit) {
      try {
        return await validateBatch((await client.query<Judged>(UPDATE_USERS, [limit])).rows)
      } catch (error) {
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error
        const { rows } = await client.query<Judged>(JUDGE_TAKEN)
        // Nobody to leave out would mean the same violation for ever.
        if (rows.length === 0) throw error
        return countVerdicts(rows)
      }
    },

    async importStatusLogs(logs, { dryRun }) {
      const values = [
        logs.map((log) => log.id),
        logs.map((log) => log.notificationId),
        logs.map((log) => log.userId),
        logs.map((log) => log.notificationType),
        logs.map((log) => log.status),
        logs.map((log) => log.error),
        logs.map((log) => log.timestamp),
      ]
      const { rows } = await client.query<{ alreadyThere: boolean; known: boolean }>(JUDGE_LOGS, values)
      const alreadyThere = rows.filter((row) => row.alreadyThere).length
      const unknownUser = rows.filter((row) => !row.alreadyThere && !row.known).length
      if (!dryRun) await client.query(IMPORT_LOGS, values)
      return { imported: rows.length - alreadyThere - unknownUser, alreadyThere, unknownUser }
    },

    // The temporary tables end with the connection.
    close: () => client.end(),
  }
}

interface Judged {
  verdict: string
}

function countVerdicts(rows: readonly Judged[]): UserBatch {
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
