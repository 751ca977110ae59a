import type { ImportConflict } from '@tidings/db/django/import-users'
import { PASSWORD_ALGORITHMS, type PasswordAlgorithm } from '@tidings/shared/password-hash'
import { UNUSABLE_REASONS, type UnusableReason } from '@tidings/shared/password-hash-format'
import type { DjangoRecord, DjangoTable } from './records.ts'

/** What an import found and did. In a dry run, `imported` and `updated` are what it would do. */
export interface ImportReport {
  dry_run: boolean
  /** False after an interruption: running the import again does the rest. */
  complete: boolean
  users: {
    found: number
    imported: number
    updated: number
    already_there: number
    case_duplicates: number
    erased: number
    email_taken: number
    /** Accounts here that never proved the address of an imported user. They are erased. */
    replaced: number
    /** Imported users whose push token another user has, who changed or was seen later. */
    push_token_conflicts: number
    invalid: number
    inactive: number
    staff: number
    /** Users whose password a login can verify, by the algorithm of its hash. */
    password_algorithms: Record<PasswordAlgorithm, number>
    unusable_passwords: number
    /** The same users, by the reason. */
    unusable_password_reasons: Record<UnusableReason, number>
    /** The cost of the most expensive hash. Of another algorithm than PBKDF2 it is an estimate. */
    max_iterations: number
  }
  preferences: { found: number; invalid: number }
  notification_status_logs: {
    found: number
    imported: number
    already_there: number
    unknown_user: number
    invalid: number
  }
  /** The first MAX_LISTED decisions between two users: who was not imported, was replaced, or got no push token. */
  conflicts: ImportConflict[]
  /** The first MAX_LISTED invalid rows. */
  invalid: { table: DjangoTable; id: string; why: string }[]
}

/** Rows that a report lists, of each kind. */
export const MAX_LISTED = 1_000

export function createReport(dryRun: boolean): ImportReport {
  return {
    dry_run: dryRun,
    complete: false,
    users: {
      found: 0,
      imported: 0,
      updated: 0,
      already_there: 0,
      case_duplicates: 0,
      erased: 0,
      email_taken: 0,
      replaced: 0,
      push_token_conflicts: 0,
      invalid: 0,
      inactive: 0,
      staff: 0,
      ...countPasswords(new Map()),
      max_iterations: 0,
    },
    preferences: { found: 0, invalid: 0 },
    notification_status_logs: { found: 0, imported: 0, already_there: 0, unknown_user: 0, invalid: 0 },
    conflicts: [],
    invalid: [],
  }
}

/** @param counts users by the algorithm of their password, or by the reason why it is unusable. */
export function countPasswords(
  counts: ReadonlyMap<PasswordAlgorithm | UnusableReason, number>,
): Pick<ImportReport['users'], 'password_algorithms' | 'unusable_passwords' | 'unusable_password_reasons'> {
  const pick = <Kind extends PasswordAlgorithm | UnusableReason>(kinds: readonly Kind[]) =>
    Object.fromEntries(kinds.map((kind) => [kind, counts.get(kind) ?? 0])) as Record<Kind, number>
  const reasons = pick(UNUSABLE_REASONS)
  return {
    password_algorithms: pick(PASSWORD_ALGORITHMS),
    unusable_passwords: Object.values(reasons).reduce((sum, count) => sum + count, 0),
    unusable_password_reasons: reasons,
  }
}

const REPORT_KEYS = {
  users: 'users',
  user_preferences: 'preferences',
  notification_status_logs: 'notification_status_logs',
} as const satisfies Record<DjangoTable, keyof ImportReport>

/** Counts and lists a row that cannot be imported. */
export function addInvalid(
  report: ImportReport,
  { table, id, why }: Extract<DjangoRecord, { kind: 'invalid' }>,
) {
  const counts = report[REPORT_KEYS[table]]
  counts.found++
  counts.invalid++
  if (report.invalid.length < MAX_LISTED) report.invalid.push({ table, id, why })
}
