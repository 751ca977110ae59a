import { createHash } from 'node:crypto'
import type { UserRow } from '@tidings/db/users/users'
import { type User, userSchema } from '@tidings/shared/user'
import { z } from 'zod'

/** What is cached of a user: what the API shows, and what decides who may act. No password. */
export const userRecordSchema = z.object({
  user: userSchema,
  isActive: z.boolean(),
  /** Milliseconds since the epoch: the Django service's tokens issued before are over. */
  legacyTokensEndedAtMs: z.number().nullable(),
})
export type UserRecord = z.infer<typeof userRecordSchema>

export function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    push_token: row.pushToken,
    preferences: { email: row.emailNotifications, push: row.pushNotifications },
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}

export function toUserRecord(row: UserRow): UserRecord {
  return {
    user: toUser(row),
    isActive: row.isActive,
    legacyTokensEndedAtMs: row.legacyTokensEndedAt?.getTime() ?? null,
  }
}

export interface RenderedUser {
  body: string
  etag: string
}

const rendered = new WeakMap<UserRecord, RenderedUser>()

/** The answer that shows this user, and its entity tag; made once for each cached record. */
export function renderUser(record: UserRecord): RenderedUser {
  let answer = rendered.get(record)
  if (answer === undefined) {
    const body = JSON.stringify({ success: true, message: 'User found.', data: record.user })
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
    answer = { body, etag }
    rendered.set(record, answer)
  }
  return answer
}
