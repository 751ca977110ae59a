import { withDeadline } from '@tidings/runtime/deadline'
import { DEAD_LETTER_REASONS } from '@tidings/shared/dead-letter'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { EventCounters } from './jobs/process-envelope.ts'
import type { StatusWorker } from './status-worker.ts'

/** Creates the metrics of the events that this process has handled since it started. */
export function createWorkerMetrics(): { registry: Registry; count: EventCounters } {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const events = new Counter({
    name: 'tidings_worker_events_total',
    help: 'Events by outcome: stored, duplicate, retried.',
    labelNames: ['outcome'] as const,
    registers: [registry],
  })
  const dead = new Counter({
    name: 'tidings_worker_dead_letters_total',
    help: 'Events buried as dead letters, by reason.',
    labelNames: ['reason'] as const,
    registers: [registry],
  })
  // Prometheus sees no increase in a series that begins at 1: without these, no alert would see a first dead letter.
  for (const outcome of ['stored', 'duplicate', 'retried']) events.inc({ outcome }, 0)
  for (const reason of DEAD_LETTER_REASONS) dead.inc({ reason }, 0)
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

/** The longest that a scrape waits for the queue's store, in milliseconds. */
const COUNT_LIMIT_MS = 1_000

/** Adds gauges of the running worker's queues, read at each scrape. */
export function watchStatusWorker(registry: Registry, worker: StatusWorker): void {
  new Gauge({
    name: 'tidings_worker_taking_jobs',
    help: '1 while the worker takes jobs, 0 while PostgreSQL takes no writes.',
    registers: [registry],
    collect() {
      this.set(worker.isTakingJobs ? 1 : 0)
    },
  })
  const deadLetters = new Gauge({
    name: 'tidings_dead_letters',
    help: 'Dead letters that wait for an operator.',
    registers: [registry],
    async collect() {
      // While Redis is unreachable, this command waits for it. The scrape then reports the last value.
      const counting = Promise.all(
        worker.deadLetters.map((queue) => queue.getJobCountByTypes('prioritized', 'waiting')),
      )
      const counts = await withDeadline(counting, COUNT_LIMIT_MS, tooLate).catch(() => undefined)
      if (counts) this.set(counts.reduce((sum, entries) => sum + entries, 0))
    },
  })
  // A gauge starts at 0, which would say that there are none. Absent until the first count.
  deadLetters.remove()
}

const tooLate = () => new Error('The queue does not answer.')
