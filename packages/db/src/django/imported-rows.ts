import type { PasswordAlgorithm } from '@tidings/shared/password-hash'
import type { UnusableReason } from '@tidings/shared/password-hash-format'

/** A user of the Django service. Times are ISO 8601. */
export interface ImportedUser {
  id: string
  email: string
  name: string
  password: string
  /** The algorithm of the password's hash, or why no login can verify it. */
  passwordKind: PasswordAlgorithm | UnusableReason
  /** The cost of verifying the hash, in iterations of PBKDF2-SHA256; null when no login can. */
  hashIterations: number | null
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

/** Columns in the order of the parameters of STAGE_USERS. */
export const userColumns = (users: readonly ImportedUser[]): unknown[][] => [
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
  users.map((user) => user.hashIterations),
  users.map((user) => user.passwordKind),
]

/** Columns in the order of the parameters of STAGE_PREFERENCES. */
export const preferencesColumns = (preferences: readonly ImportedPreferences[]): unknown[][] => [
  preferences.map((preference) => preference.userId),
  preferences.map((preference) => preference.email),
  preferences.map((preference) => preference.push),
]

/** Columns in the order of the parameters of CLASSIFY_LOGS and IMPORT_LOGS. */
export const logColumns = (logs: readonly ImportedStatusLog[]): unknown[][] => [
  logs.map((log) => log.id),
  logs.map((log) => log.notificationId),
  logs.map((log) => log.userId),
  logs.map((log) => log.notificationType),
  logs.map((log) => log.status),
  logs.map((log) => log.error),
  logs.map((log) => log.timestamp),
]
