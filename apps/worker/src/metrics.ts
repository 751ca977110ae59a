import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { EventCounters } from './process-envelope.ts'
import type { StatusWorker } from './worker.ts'

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

/** What a scrape finds out about the running worker's queues. */
export function watchStatusWorker(registry: Registry, worker: StatusWorker): void {
  new Gauge({
    name: 'tidings_worker_taking_jobs',
    help: '1 while jobs are taken, 0 while PostgreSQL is away.',
    registers: [registry],
    collect() {
      this.set(worker.isTakingJobs ? 1 : 0)
    },
  })
  new Gauge({
    name: 'tidings_dead_letters',
    help: 'Dead letters that wait for an operator.',
    registers: [registry],
    async collect() {
      const counts = await worker.deadLetters.getJobCounts('prioritized', 'waiting')
      this.set(Object.values(counts).reduce((sum, entries) => sum + entries, 0))
    },
  })
}
