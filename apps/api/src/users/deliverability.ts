import type { Database } from '@tidings/db/database'
import type { Category } from '@tidings/db/suppressions/categories'
import { type ActiveSuppression, findSuppressions } from '@tidings/db/suppressions/find-suppressions'
import { digestRecipient } from '@tidings/shared/recipient'
import type { NotificationType } from '@tidings/shared/status-event'
import type { Deliverability, UndeliverableReason } from '@tidings/shared/user'
import type { CachedUser } from '../cache/caches.ts'
import { requireCategory } from './require-categories.ts'

/** A user that a sender asks about. */
export interface AskedUser {
  id: string
  /** Undefined for an unknown user. */
  found: CachedUser | undefined
}

/**
 * Returns what each user chose, and whether a message on each channel would reach them. The suppressions of the
 * user's address and token are read from PostgreSQL each time, in one query: they count at once, and the cache of users
 * stays as it is.
 *
 * @param category the key of the message's category.
 * @throws AppError `validation_failed` when there is no such category.
 */
export type AskDeliverability = (
  asked: readonly AskedUser[],
  category: string | undefined,
) => Promise<Deliverability[]>

/** Digests of where a user is reached. */
interface Recipients {
  email: string
  /** One for each push token. */
  push: readonly string[]
}

export function createDeliverability(deps: { db: Database; recipientKey: string }): AskDeliverability {
  const { db, recipientKey } = deps
  const digests = new WeakMap<CachedUser, Recipients>()

  /** Computed once for each cached user. */
  function recipientsOf(found: CachedUser): Recipients {
    let recipients = digests.get(found)
    if (recipients === undefined) {
      recipients = {
        email: digestRecipient(recipientKey, 'email', found.user.email),
        push: pushTokensOf(found).map((token) => digestRecipient(recipientKey, 'push', token)),
      }
      digests.set(found, recipients)
    }
    return recipients
  }

  return async (asked, categoryKey) => {
    const recipients = asked.flatMap(({ found }) => {
      if (found === undefined) return []
      const { email, push } = recipientsOf(found)
      return [
        { channel: 'email' as const, digest: email },
        ...push.map((digest) => ({ channel: 'push' as const, digest })),
      ]
    })
    const [category, suppressions] = await Promise.all([
      categoryKey === undefined ? undefined : requireCategory(db, categoryKey, '/category'),
      findSuppressions(db, recipients, categoryKey),
    ])
    return asked.map(({ id, found }) => {
      const count = found === undefined ? 0 : 1 + pushTokensOf(found).length
      const [email = [], ...push] = suppressions.splice(0, count)
      return resolveDeliverability(id, found, { category, email: [email], push })
    })
  }
}

const pushTokensOf = ({ user }: CachedUser): string[] => (user.push_token === null ? [] : [user.push_token])

/** What decides beside the user. For each channel, the suppressions of each address or token. */
interface Circumstances extends Record<NotificationType, ActiveSuppression[][]> {
  category: Category | undefined
}

function resolveDeliverability(
  userId: string,
  found: CachedUser | undefined,
  circumstances: Circumstances,
): Deliverability {
  const reasons = {
    email: findReason('email', found, circumstances),
    push: findReason('push', found, circumstances),
  }
  return {
    user_id: userId,
    preferences: found?.user.preferences ?? null,
    deliverable: { email: reasons.email === null, push: reasons.push === null },
    reasons,
  }
}

/** Returns the first reason that makes a message useless. */
function findReason(
  channel: NotificationType,
  found: CachedUser | undefined,
  { category, ...circumstances }: Circumstances,
): UndeliverableReason | null {
  if (found === undefined) return 'unknown_user'
  if (!found.isActive) return 'inactive'
  const { preferences } = found.user
  const isRequired = category?.required === true
  if (!isRequired && !preferences[channel]) return 'opted_out'
  if (!isRequired && category && !isChosen(found, category, channel)) return 'opted_out_category'
  const recipients = circumstances[channel]
  if (recipients.length === 0) return 'no_push_token'
  // A required message, such as a receipt, also goes to those who unsubscribed.
  const blocks = ({ reason }: ActiveSuppression) => !(isRequired && reason === 'unsubscribe')
  const reasons = recipients.map((suppressions) => suppressions.find(blocks)?.reason)
  const [first] = reasons
  // One token that is not suppressed is enough.
  return first === undefined || reasons.includes(undefined) ? null : `suppressed_${first}`
}

function isChosen({ user }: CachedUser, { key, default: byDefault }: Category, channel: NotificationType) {
  const choices = user.preferences.categories ?? {}
  const choice = Object.hasOwn(choices, key) ? choices[key] : undefined
  return choice?.[channel] ?? byDefault
}
