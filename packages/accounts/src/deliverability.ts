import type { Database } from '@tidings/db/database'
import type { Category } from '@tidings/db/suppressions/categories'
import { type ActiveSuppression, findSuppressions } from '@tidings/db/suppressions/find-suppressions'
import { findInvalidTokens } from '@tidings/db/users/devices'
import type { Device } from '@tidings/shared/device'
import { digestRecipient } from '@tidings/shared/recipient'
import type { NotificationType } from '@tidings/shared/status-event'
import type { Deliverability, UndeliverableReason, User } from '@tidings/shared/user'

/** What decides about a user whether a message reaches them. */
export interface Reachable {
  user: Pick<User, 'email' | 'preferences'>
  isActive: boolean
  /** Most recently seen first. */
  devices: readonly Device[]
}

/** A user that a sender asks about. */
export interface AskedUser {
  id: string
  /** Undefined for an unknown user. */
  found: Reachable | undefined
}

/**
 * Returns what each user chose, and whether a message on each channel would reach them. The suppressions of the
 * addresses and tokens, and the tokens that are not registered any more, are read from PostgreSQL each time: they count
 * at once, and the cache of users stays as it is.
 *
 * @param category of the message; undefined when the sender names none.
 */
export type AskDeliverability = (
  asked: readonly AskedUser[],
  category?: Category,
) => Promise<Deliverability[]>

/** Digests of where a user is reached. */
interface Digests {
  email: string
  /** One for each device. */
  push: readonly string[]
}

export function createDeliverability(deps: { db: Database; recipientKey: string }): AskDeliverability {
  const { db, recipientKey } = deps
  const digests = new WeakMap<Reachable, Digests>()

  /** Computed once for each user in the cache. */
  function digestsOf(found: Reachable): Digests {
    let known = digests.get(found)
    if (known === undefined) {
      known = {
        email: digestRecipient(recipientKey, 'email', found.user.email),
        push: found.devices.map(({ token }) => digestRecipient(recipientKey, 'push', token)),
      }
      digests.set(found, known)
    }
    return known
  }

  return async (asked, category) => {
    const recipients = asked.flatMap(({ found }) => {
      if (found === undefined) return []
      const { email, push } = digestsOf(found)
      return [
        { channel: 'email' as const, digest: email },
        ...push.map((digest) => ({ channel: 'push' as const, digest })),
      ]
    })
    const withDevices = asked.flatMap(({ id, found }) => (found && found.devices.length > 0 ? [id] : []))
    const [suppressions, invalidTokens] = await Promise.all([
      findSuppressions(db, recipients, category?.key),
      findInvalidTokens(db, withDevices),
    ])
    return asked.map(({ id, found }) => {
      const [email = [], ...push] = suppressions.splice(0, found === undefined ? 0 : 1 + found.devices.length)
      const devices = (found?.devices ?? [])
        .map((device, index) => ({ device, suppressions: push[index] ?? [] }))
        .filter(({ device }) => !invalidTokens.has(device.token))
      return resolveDeliverability(id, found, { category, email, devices })
    })
  }
}

/** What decides beside the user. */
interface Circumstances {
  category: Category | undefined
  /** The suppressions of the address. */
  email: readonly ActiveSuppression[]
  /** The devices whose token is registered, each with the suppressions of the token. */
  devices: readonly { device: Device; suppressions: readonly ActiveSuppression[] }[]
}

function resolveDeliverability(
  userId: string,
  found: Reachable | undefined,
  { category, email, devices }: Circumstances,
): Deliverability {
  // A required message, such as a receipt, also goes to those who unsubscribed.
  const blocks = ({ reason }: ActiveSuppression) => !(category?.required && reason === 'unsubscribe')
  const emailBlock = email.find(blocks)
  const blocked = devices.map(({ suppressions }) => suppressions.find(blocks))
  const reached = devices.filter((_, index) => blocked[index] === undefined).map(({ device }) => device)
  const reasons = {
    email: findChosenReason('email', found, category) ?? suppressed(emailBlock),
    push: findChosenReason('push', found, category) ?? findPushReason(blocked),
  }
  return {
    user_id: userId,
    preferences: found?.user.preferences ?? null,
    deliverable: { email: reasons.email === null, push: reasons.push === null },
    reasons,
    devices: reasons.push === null ? reached : [],
  }
}

/** Returns the first reason of the user's own that makes a message useless. */
function findChosenReason(
  channel: NotificationType,
  found: Reachable | undefined,
  category: Category | undefined,
): UndeliverableReason | undefined {
  if (found === undefined) return 'unknown_user'
  if (!found.isActive) return 'inactive'
  if (category?.required) return undefined
  if (!found.user.preferences[channel]) return 'opted_out'
  return category === undefined || isChosen(found, category, channel) ? undefined : 'opted_out_category'
}

/** @param blocked the suppression of each token. One token without is enough. */
function findPushReason(blocked: readonly (ActiveSuppression | undefined)[]): UndeliverableReason | null {
  if (blocked.length === 0) return 'no_push_token'
  return blocked.includes(undefined) ? null : suppressed(blocked[0])
}

const suppressed = (suppression: ActiveSuppression | undefined): UndeliverableReason | null =>
  suppression === undefined ? null : `suppressed_${suppression.reason}`

function isChosen({ user }: Reachable, { key, default: byDefault }: Category, channel: NotificationType) {
  const choices = user.preferences.categories ?? {}
  const choice = Object.hasOwn(choices, key) ? choices[key] : undefined
  return choice?.[channel] ?? byDefault
}
