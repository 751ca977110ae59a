import { createIngestAccount } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { createLogger } from '@tidings/runtime/log'
import { type StatusWorker, type StatusWorkerOptions, startStatusWorker } from '../status-worker.ts'

type TestWorkerOptions = Pick<StatusWorkerOptions, 'db' | 'backend' | 'lifecycle'> &
  Partial<StatusWorkerOptions>

const ignore = () => {}

/** A worker in the test's own process: one shard, two lanes, silent, and nobody counts. */
export function startTestWorker(options: TestWorkerOptions): Promise<StatusWorker> {
  const accounts = [createIngestAccount('worker'), createIngestAccount('worker')]
  return startStatusWorker({
    shards: 1,
    concurrency: 8,
    store: (events, lane) =>
      storeStatusEvents(options.db.pool, events, accounts[lane] ?? createIngestAccount('worker')),
    writers: accounts.length,
    account: createIngestAccount('worker'),
    count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
    log: createLogger('test', 'silent'),
    onWedged: ignore,
    ...options,
  })
}
