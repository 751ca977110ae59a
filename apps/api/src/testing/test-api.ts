import { createServiceKey } from '@tidings/db/operators/service-keys'
import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { shardNames } from '@tidings/queue/queue-names'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { SCOPES, type Scope } from '@tidings/shared/service-key'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import {
  type AcceptedItem,
  type Envelope,
  isStatusEvent,
  type StatusEvent,
} from '@tidings/shared/status-event'
import type { Releaser } from '@tidings/stack/releaser'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  databaseVariables,
  type TestDatabase,
  testShards,
} from '@tidings/stack/testing/test-context'
import { readEnv } from '../env.ts'
import { startApi } from '../start-api.ts'

/** The whole API on its own port. No worker empties the queue. */
export interface TestApi extends TestDatabase {
  /** Such as http://127.0.0.1:40123. */
  apiUrl: string
  port: number
  backend: QueueBackend
  /** Makes a service key with these scopes; with all of them when none is given. */
  createKey(...scopes: Scope[]): Promise<string>
  /** Events that wait in the queue. */
  listQueued(): Promise<StatusEvent[]>
  /** Everything that waits in the queue: events, those that name their message only, and unreadable reports. */
  listQueuedItems(): Promise<AcceptedItem[]>
  /** Stops it as SIGTERM would. The releaser does it otherwise. */
  stop(): Promise<void>
}

/** Of its own: with the default one there are no unsubscribe links. */
export const TEST_RECIPIENT_KEY = 'the recipient key of tests'

interface TestStores {
  /** A new database when absent. Pass a TestApi to start a replica of it. */
  database?: TestDatabase
  /** BullMQ's PostgreSQL backend when absent: every machine has it. */
  backend?: QueueBackend
  /** The origin of a server that stands for Amazon SNS. */
  snsStandIn?: string
}

/** Closes the connection afterwards: stopping the API waits up to 4 s for requests on open ones. */
const ONE_REQUEST = { headers: { connection: 'close' } }

/**
 * Starts the API as its main.ts does.
 *
 * @param variables environment besides the stores and the port.
 */
export async function startTestApi(
  releaser: Releaser,
  variables: Readonly<Record<string, string>> = {},
  stores: TestStores = {},
): Promise<TestApi> {
  const database = stores.database ?? (await createTestDatabase(releaser))
  const backend = stores.backend ?? (await createTestBackend('postgres', releaser, database))
  const env = readEnv({
    ...databaseVariables(database),
    ...queueVariables(backend),
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'silent',
    JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    PASSWORD_ITERATIONS: '1000',
    RATE_LIMIT_ENABLED: 'false',
    RECIPIENT_KEY: TEST_RECIPIENT_KEY,
    ...variables,
  })
  const log = createLogger('api-test', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  releaser.onRelease(() => lifecycle.release())
  const server = await startApi(env, log, lifecycle, { snsStandIn: stores.snsStandIn })
  // The test's own connections: see ONE_REQUEST.
  releaser.onRelease(() => server.closeIdleConnections())
  const { url } = server
  await waitFor('the API to be ready', async () => (await fetch(`${url}/health/ready`, ONE_REQUEST)).ok)
  let keys = 0
  return {
    url: database.url,
    database: database.database,
    apiUrl: url,
    port: Number(new URL(url).port),
    backend,
    async createKey(...scopes) {
      const granted = scopes.length === 0 ? SCOPES : scopes
      const made = await createServiceKey(database.database, `test-${keys++}`, granted)
      if (made.outcome !== 'created') throw new Error('No service key was made')
      return made.key
    },
    listQueued: async () => (await listQueuedItems(backend)).filter(isStatusEvent),
    listQueuedItems: () => listQueuedItems(backend),
    stop: () => lifecycle.release(),
  }
}

function queueVariables(backend: QueueBackend): Record<string, string> {
  if (backend.kind === 'postgres') return { QUEUE_BACKEND: 'postgres' }
  return {
    QUEUE_BACKEND: 'redis',
    REDIS_URL: backend.url,
    QUEUE_PREFIX: backend.prefix,
    QUEUE_SHARDS: String(testShards(backend)),
  }
}

async function listQueuedItems(backend: QueueBackend): Promise<AcceptedItem[]> {
  const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', () => {}) : undefined
  const open = (name: string) => openQueue<Envelope>(name, backend, redis, { onError: () => {} })
  const queues = shardNames(testShards(backend)).map(open)
  const states = ['waiting', 'active', 'delayed', 'failed', 'prioritized'] as const
  try {
    const jobs = await Promise.all(queues.map((queue) => queue.getJobs([...states], 0, -1)))
    return jobs.flat().flatMap((job) => job.data.events)
  } finally {
    await Promise.all(queues.map((queue) => queue.close()))
    redis?.disconnect()
  }
}
