import type { Deliverability, UndeliverableReason } from '@tidings/shared/user'
import type { UserRecord } from './user-record.ts'

type Reasons = Record<'email' | 'push', UndeliverableReason | null>

/** What a user chose, and whether sending is of use. */
export function resolveDeliverability(userId: string, record: UserRecord | undefined): Deliverability {
  const reasons = findReasons(record)
  return {
    user_id: userId,
    preferences: record?.user.preferences ?? null,
    deliverable: { email: reasons.email === null, push: reasons.push === null },
    reasons,
  }
}

/** The first reason that keeps a channel from a user. */
function findReasons(record: UserRecord | undefined): Reasons {
  if (record === undefined) return { email: 'unknown_user', push: 'unknown_user' }
  if (!record.isActive) return { email: 'inactive', push: 'inactive' }
  const { preferences, push_token } = record.user
  const noToken = push_token === null ? 'no_push_token' : null
  return {
    email: preferences.email ? null : 'opted_out',
    push: preferences.push ? noToken : 'opted_out',
  }
}
