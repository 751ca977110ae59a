import { preferencesOf, type UserRow } from '@tidings/db/users/users'
import type { User } from '@tidings/shared/user'
import type { CachedUser } from '../cache/caches.ts'

/** Converts a row to the user that the API shows. */
export function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    email_verified_at: row.emailVerifiedAt?.toISOString() ?? null,
    push_token: row.devices[0]?.token ?? null,
    preferences: preferencesOf(row),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}

export function toCachedUser(row: UserRow): CachedUser {
  return {
    user: toUser(row),
    isActive: row.isActive,
    devices: row.devices,
    legacyTokensEndedAtMs: row.legacyTokensEndedAt?.getTime() ?? null,
  }
}
