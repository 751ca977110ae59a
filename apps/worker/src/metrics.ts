import { Counter, collectDefaultMetrics, Registry } from 'prom-client'
import type { EventCounters } from './process-envelope.ts'

/** What this process did with events since it started. */
export function createWorkerMetrics(): { registry: Registry; count: EventCounters } {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const events = new Counter({
    name: 'tidings_worker_events_total',
    help: 'Events by what became of them: stored, duplicate, retried.',
    labelNames: ['outcome'] as const,
    registers: [registry],
  })
  const dead = new Counter({
    name: 'tidings_worker_dead_letters_total',
    help: 'Events buried as dead letters, by reason.',
    labelNames: ['reason'] as const,
    registers: [registry],
  })
  return {
    registry,
    count: {
      stored: (n) => events.inc({ outcome: 'stored' }, n),
      duplicate: (n) => events.inc({ outcome: 'duplicate' }, n),
      retried: (n) => events.inc({ outcome: 'retried' }, n),
      dead: (reason) => dead.inc({ reason }),
    },
  }
}
