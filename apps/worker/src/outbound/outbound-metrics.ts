import type { UnsentOutcome } from '@tidings/db/users/claim-messages'
import type { PendingMessages } from '@tidings/db/users/outbound-messages'
import { withDeadline } from '@tidings/runtime/deadline'
import type { OutboundKind } from '@tidings/shared/outbound-message'
import { Counter, Gauge, type Registry } from 'prom-client'

export type OutboundOutcome = UnsentOutcome | 'queued'

/** The longest that a scrape waits for PostgreSQL, in milliseconds. */
const COUNT_LIMIT_MS = 1_000

/**
 * Adds the metrics of outbound messages.
 *
 * @param countPending how many messages wait for a relay. Asked at each scrape.
 * @returns a function that counts a message.
 */
export function createOutboundMetrics(
  registry: Registry,
  countPending: () => Promise<PendingMessages>,
): (kind: OutboundKind, outcome: OutboundOutcome) => void {
  const messages = new Counter({
    name: 'tidings_outbound_messages_total',
    help: 'Outbound messages that this process handled, by kind and outcome: queued, expired, dropped, reported.',
    labelNames: ['kind', 'outcome'] as const,
    registers: [registry],
  })
  const addGauge = (name: string, help: string, read: (counted: PendingMessages) => number) => {
    const gauge = new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const counted = await withDeadline(countPending(), COUNT_LIMIT_MS, tooLate).catch(() => undefined)
        if (counted) this.set(read(counted))
      },
    })
    // A gauge starts at 0, which would say that there are none. Absent until the first count.
    gauge.remove()
  }
  addGauge(
    'tidings_outbound_pending',
    'Outbound messages that are not on the queue yet.',
    ({ pending }) => pending,
  )
  addGauge(
    'tidings_outbound_pending_age_seconds',
    'Age of the oldest outbound message that is not on the queue yet; 0 when there is none.',
    ({ oldestAt }) => (oldestAt === undefined ? 0 : Math.max(0, (Date.now() - oldestAt.getTime()) / 1_000)),
  )
  return (kind, outcome) => messages.inc({ kind, outcome })
}

const tooLate = () => new Error('PostgreSQL does not answer.')
