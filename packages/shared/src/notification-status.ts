import type { DeliveryError, DeliveryStatus, Engagement, NotificationType, Status } from './status-event.ts'
import { DELIVERY_STATUSES, ENGAGEMENTS } from './status-event.ts'

/** The fields of an event that decide the current status. Times are ISO 8601. */
export interface StatusFact {
  id: string
  notification_type: NotificationType
  user_id: string | null
  status: Status
  error: DeliveryError | null
  timestamp: string
  received_at: string
  attempt: number | null
}

export interface NotificationState {
  /** Null while no delivery status was reported, only engagement. */
  status: DeliveryStatus | null
  opened_at: string | null
  clicked_at: string | null
  unsubscribed_at: string | null
  /** Names the rule and the event that decided, and a later final status that a lower attempt overrules. */
  explain: string
}

interface DeliveryFact extends StatusFact {
  status: DeliveryStatus
}

/** Order of events within one attempt when no rule below decides. */
const RANK: Readonly<Record<DeliveryStatus, number>> = {
  pending: 0,
  sent: 1,
  deferred: 2,
  failed: 3,
  bounced: 3,
  delivered: 4,
  suppressed: 4,
  complained: 5,
}

const isDelivery = (fact: StatusFact): fact is DeliveryFact =>
  (DELIVERY_STATUSES as readonly Status[]).includes(fact.status)

/** Milliseconds. Clamped to the time of receipt, because a producer's clock may be ahead. */
const orderTime = (fact: StatusFact) => Math.min(Date.parse(fact.timestamp), Date.parse(fact.received_at))

/** A bounce counts as permanent unless the producer marked it transient. */
const isPermanentBounce = (fact: DeliveryFact) =>
  fact.status === 'bounced' && !(typeof fact.error === 'object' && fact.error?.class === 'transient')

const attemptOf = (fact: StatusFact) => fact.attempt ?? 0

/** Total order by time, then id. */
const compareTime = (a: DeliveryFact, b: DeliveryFact): number =>
  orderTime(a) - orderTime(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** Total order by attempt, rank, time, id. It never depends on the order of arrival. */
const compareProgress = (a: DeliveryFact, b: DeliveryFact): number =>
  attemptOf(a) - attemptOf(b) || RANK[a.status] - RANK[b.status] || compareTime(a, b)

const furthest = (facts: DeliveryFact[]): DeliveryFact | undefined =>
  facts.reduce<DeliveryFact | undefined>(
    (best, fact) => (best === undefined || compareProgress(fact, best) > 0 ? fact : best),
    undefined,
  )

/**
 * Computes a notification's current status from the set of its events. Order of arrival and repetition do not
 * change the result.
 */
export function foldNotification(facts: readonly StatusFact[]): NotificationState {
  const engagement = Object.fromEntries(ENGAGEMENTS.map((name) => [`${name}_at`, firstTime(facts, name)]))
  const { opened_at = null, clicked_at = null, unsubscribed_at = null } = engagement
  const deliveries = facts.filter(isDelivery)
  const decided = decide(deliveries)
  return {
    status: decided?.fact.status ?? null,
    opened_at,
    clicked_at,
    unsubscribed_at,
    explain: decided
      ? describe(decided, findOverruled(decided.fact, deliveries))
      : 'Only engagement was reported; no delivery status yet.',
  }
}

interface Decision {
  fact: DeliveryFact
  rule: string
}

function decide(facts: DeliveryFact[]): Decision | undefined {
  const complained = furthest(facts.filter((fact) => fact.status === 'complained'))
  if (complained) return { fact: complained, rule: 'a complaint outranks everything' }

  const delivered = furthest(facts.filter((fact) => fact.status === 'delivered'))
  const bounced = furthest(facts.filter(isPermanentBounce))
  if (bounced && !(delivered && attemptOf(delivered) > attemptOf(bounced))) {
    return { fact: bounced, rule: 'a permanent bounce stands unless a later attempt was delivered' }
  }
  if (delivered)
    return { fact: delivered, rule: 'delivered outranks everything but a complaint or permanent bounce' }

  const suppressed = furthest(facts.filter((fact) => fact.status === 'suppressed'))
  if (suppressed) return { fact: suppressed, rule: 'suppressed outranks unfinished attempts' }

  const latest = furthest(facts)
  return latest && { fact: latest, rule: 'the furthest step of the highest attempt' }
}

/** Statuses after which nothing more is expected of a sending. */
const FINAL_STATUSES: readonly Status[] = ['delivered', 'failed', 'bounced', 'suppressed', 'complained']

/**
 * The latest final status, when it came after the deciding event and its attempt is lower. Then `attempt` may be wrong,
 * such as a provider's retry count, and would hide the outcome.
 */
function findOverruled(decided: DeliveryFact, facts: readonly DeliveryFact[]): DeliveryFact | undefined {
  const latest = facts
    .filter(({ status }) => FINAL_STATUSES.includes(status))
    .reduce<DeliveryFact | undefined>(
      (best, fact) => (best === undefined || compareTime(fact, best) > 0 ? fact : best),
      undefined,
    )
  const isOverruled =
    latest !== undefined &&
    attemptOf(latest) < attemptOf(decided) &&
    latest.status !== decided.status &&
    orderTime(latest) > orderTime(decided)
  return isOverruled ? latest : undefined
}

function describe({ fact, rule }: Decision, overruled: DeliveryFact | undefined): string {
  const sentence = `${nameEvent(fact)}: ${rule}.`
  return overruled === undefined
    ? sentence
    : `${sentence} A later event has a lower attempt and does not change this: ${nameEvent(overruled)}.`
}

function nameEvent(fact: DeliveryFact): string {
  const attempt = fact.attempt === null ? '' : ` (attempt ${fact.attempt})`
  return `${fact.status}${attempt} at ${fact.timestamp}, event ${fact.id}`
}

/** The earliest clamped time of an engagement, as ISO 8601 in UTC. */
function firstTime(facts: readonly StatusFact[], engagement: Engagement): string | null {
  const times = facts.filter((fact) => fact.status === engagement).map(orderTime)
  return times.length === 0 ? null : new Date(Math.min(...times)).toISOString()
}
