import type { UserRow } from '@tidings/db/users/users'
import type { User } from '@tidings/shared/user'
import type { CachedUser } from '../cache/caches.ts'

/** Converts a row to the user that the API shows. */
export function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    email_verified_at: row.emailVerifiedAt?.toISOString() ?? null,
    push_token: row.pushToken,
    preferences: {
      email: row.emailNotifications,
      push: row.pushNotifications,
      ...(Object.keys(row.categoryChoices).length > 0 && { categories: row.categoryChoices }),
    },
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}

export function toCachedUser(row: UserRow): CachedUser {
  return {
    user: toUser(row),
    isActive: row.isActive,
    legacyTokensEndedAtMs: row.legacyTokensEndedAt?.getTime() ?? null,
  }
}
