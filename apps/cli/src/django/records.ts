import type { ImportedPreferences, ImportedStatusLog, ImportedUser } from '@tidings/db/django/imported-rows'
import { findUnsafeJson } from '@tidings/shared/json'
import { estimateIterations } from '@tidings/shared/password-hash'
import { readStoredPassword } from '@tidings/shared/password-hash-format'
import { isUsableTime } from '@tidings/shared/status-event'
import { z } from 'zod'

/** One row of the Django service, from whichever source. */
export type DjangoRecord =
  | { kind: 'user'; row: ImportedUser }
  | { kind: 'preferences'; row: ImportedPreferences }
  | { kind: 'log'; row: ImportedStatusLog }
  /** Cannot be imported. `why` names the field, never its value. */
  | { kind: 'invalid'; table: DjangoTable; id: string; why: string }

export type DjangoTable = 'users' | 'user_preferences' | 'notification_status_logs'

const id = z.guid().transform((value) => value.toLowerCase())
/** A Date from pg, or a text from JSON. JavaScript knows years that PostgreSQL refuses, such as 0. */
const time = z
  .union([z.date(), z.string()])
  .transform((value) => new Date(value))
  .refine((value) => isUsableTime(value.getTime()), 'is no time from 1970 to 9999')
  .transform((value) => value.toISOString())

/** A login trims what a person types, so nobody could log in with an address that holds white space. */
const email = z
  .string()
  .max(254)
  .regex(/^[^\s\p{C}@]+@[^\s\p{C}@]+$/u)

const userSchema = z
  .object({
    id,
    email,
    name: z
      .string()
      .max(255)
      .nullish()
      .transform((value) => value ?? ''),
    password: z.string(),
    push_token: z
      .string()
      .nullish()
      .transform((value) => value || null),
    email_notifications: z.boolean().default(true),
    push_notifications: z.boolean().default(true),
    is_active: z.boolean(),
    is_staff: z.boolean().default(false),
    is_superuser: z.boolean().default(false),
    last_login: time.nullish().transform((value) => value ?? null),
    created_at: time,
    updated_at: time,
  })
  .transform(
    (row): ImportedUser => ({
      id: row.id,
      email: row.email,
      name: row.name,
      password: row.password,
      ...describePassword(row.password),
      pushToken: row.push_token,
      emailNotifications: row.email_notifications,
      pushNotifications: row.push_notifications,
      isActive: row.is_active,
      isStaff: row.is_staff || row.is_superuser,
      lastLoginAt: row.last_login,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    }),
  )

function describePassword(encoded: string): Pick<ImportedUser, 'passwordKind' | 'hashIterations'> {
  const stored = readStoredPassword(encoded)
  if (!stored.usable) return { passwordKind: stored.reason, hashIterations: null }
  const { derivation } = stored.hash
  return { passwordKind: derivation.algorithm, hashIterations: estimateIterations(derivation) }
}

const preferencesSchema = z
  .object({ user_id: id, email: z.boolean(), push: z.boolean() })
  .transform((row): ImportedPreferences => ({ userId: row.user_id, email: row.email, push: row.push }))

/** Replaces a missing error: old rows of the Django service may lack it, a failed event here must have one. */
const NO_ERROR_TEXT = 'no error text'

const logSchema = z
  .object({
    id,
    notification_id: z.string().min(1).max(255),
    user_id: id.nullish().transform((value) => value ?? null),
    notification_type: z.enum(['email', 'push']),
    status: z.enum(['delivered', 'pending', 'failed']),
    error: z
      .string()
      .nullish()
      .transform((value) => value || null),
    timestamp: time,
  })
  .transform(
    (row): ImportedStatusLog => ({
      id: row.id,
      notificationId: row.notification_id,
      userId: row.user_id,
      notificationType: row.notification_type,
      status: row.status,
      error: row.error ?? (row.status === 'failed' ? NO_ERROR_TEXT : null),
      timestamp: row.timestamp,
    }),
  )

/** Reads one row of a table; column names are those of its database. */
export function parseDjangoRow(table: DjangoTable, row: Record<string, unknown>): DjangoRecord {
  const unsafe = findUnsafeJson(row)
  const key = table === 'user_preferences' ? row.user_id : row.id
  const invalid = (why: string): DjangoRecord => ({ kind: 'invalid', table, id: nameOf(key), why })
  if (unsafe !== undefined) return invalid(`${unsafe.pointer.slice(1)}: ${unsafe.code}`)
  switch (table) {
    case 'users': {
      const parsed = userSchema.safeParse(row)
      return parsed.success ? { kind: 'user', row: parsed.data } : invalid(fieldsOf(parsed.error))
    }
    case 'user_preferences': {
      const parsed = preferencesSchema.safeParse(row)
      return parsed.success ? { kind: 'preferences', row: parsed.data } : invalid(fieldsOf(parsed.error))
    }
    case 'notification_status_logs': {
      const parsed = logSchema.safeParse(row)
      return parsed.success ? { kind: 'log', row: parsed.data } : invalid(fieldsOf(parsed.error))
    }
  }
}

/** Names a row in the report. A key that is no UUID may be anything. */
const nameOf = (key: unknown) => String(key ?? '').slice(0, MAX_NAME_LENGTH)
const MAX_NAME_LENGTH = 100

const fieldsOf = (error: z.ZodError) =>
  [...new Set(error.issues.map((issue) => issue.path.join('.') || 'row'))].join(', ')
