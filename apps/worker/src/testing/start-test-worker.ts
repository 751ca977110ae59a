import { storeStatusEvents } from '@tidings/db/events/status-events'
import { createLogger } from '@tidings/runtime/log'
import { type StatusWorker, type StatusWorkerOptions, startStatusWorker } from '../status-worker.ts'

type TestWorkerOptions = Pick<StatusWorkerOptions, 'db' | 'backend' | 'lifecycle'> &
  Partial<StatusWorkerOptions>

const ignore = () => {}

/** Starts a worker in the test's own process: one shard, two writers, no log, no counters. */
export function startTestWorker(options: TestWorkerOptions): Promise<StatusWorker> {
  return startStatusWorker({
    shards: 1,
    concurrency: 8,
    store: (events) => storeStatusEvents(options.db, events),
    writers: 2,
    count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
    log: createLogger('test', 'silent'),
    onWedged: ignore,
    ...options,
  })
}
