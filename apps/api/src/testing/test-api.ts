import { createServiceKey } from '@tidings/db/operators/service-keys'
import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { SCOPES, type Scope } from '@tidings/shared/service-key'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import type { Envelope, StatusEvent } from '@tidings/shared/status-event'
import type { Releaser } from '@tidings/stack/releaser'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, createTestDatabase, type TestDatabase } from '@tidings/stack/testing/test-context'
import { readEnv } from '../env.ts'
import { startApi } from '../start-api.ts'

/** The whole API on a port of its own, with its own database and queue. No worker empties the queue. */
export interface TestApi extends TestDatabase {
  /** Such as http://127.0.0.1:40123. */
  apiUrl: string
  port: number
  backend: QueueBackend
  /** A new service key with these scopes; all of them when none is named. */
  createKey(...scopes: Scope[]): Promise<string>
  /** Registers a person. */
  registerUser(email: string): Promise<{ id: string; token: string }>
  /** Events that wait in the queue. */
  listQueued(): Promise<StatusEvent[]>
  /** Stops it as SIGTERM would. Done by the releaser otherwise. */
  stop(): Promise<void>
}

export const TEST_PASSWORD = 'correct horse battery 7 staple'

/**
 * Starts the API as its main.ts does, on BullMQ's PostgreSQL backend, which every machine has.
 *
 * @param variables environment beside the database, the queue and the port.
 */
export async function startTestApi(
  releaser: Releaser,
  variables: Readonly<Record<string, string>> = {},
): Promise<TestApi> {
  const database = await createTestDatabase(releaser)
  const backend = await createTestBackend('postgres', releaser, database)
  const env = readEnv({
    DATABASE_URL: database.url,
    QUEUE_BACKEND: 'postgres',
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'silent',
    JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    PASSWORD_ITERATIONS: '1000',
    RATE_LIMIT_ENABLED: 'false',
    ...variables,
  })
  const log = createLogger('api-test', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  releaser.onRelease(() => lifecycle.release())
  const { url } = await startApi(env, log, lifecycle)
  await waitFor('the API to be ready', async () => (await fetch(`${url}/health/ready`)).ok)
  let keys = 0
  return {
    ...database,
    apiUrl: url,
    port: Number(new URL(url).port),
    backend,
    async createKey(...scopes) {
      const granted = scopes.length === 0 ? SCOPES : scopes
      const made = await createServiceKey(database.database, `test-${keys++}`, granted)
      if (made.outcome !== 'created') throw new Error('No service key was made')
      return made.key
    },
    async registerUser(email) {
      const response = await fetch(`${url}/api/v1/users/`, {
        method: 'POST',
        body: JSON.stringify({ name: 'Test Person', email, password: TEST_PASSWORD }),
        headers: { 'content-type': 'application/json' },
      })
      if (response.status !== 201) throw new Error(`Registering answered ${response.status}`)
      const { data } = (await response.json()) as { data: { user: { id: string }; token: string } }
      return { id: data.user.id, token: data.token }
    },
    async listQueued() {
      const queue = openQueue<Envelope>(STATUS_QUEUE, backend, undefined, { onError: () => {} })
      try {
        const jobs = await queue.getJobs(['waiting', 'active', 'delayed', 'failed', 'prioritized'], 0, -1)
        return jobs.flatMap((job) => job.data.events)
      } finally {
        await queue.close()
      }
    },
    stop: () => lifecycle.release(),
  }
}
