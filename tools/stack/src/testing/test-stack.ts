import { inject } from 'vitest'
import { readStartEnv } from '../dev/env.ts'
import type { Stack } from '../dev/stack.ts'
import { startStack } from '../dev/start-stack.ts'
import type { Releaser } from '../releaser.ts'
import { findFreePort } from '../servers/free-port.ts'
import {
  type BackendKind,
  createTestBackend,
  createTestDatabase,
  databaseVariables,
  makeTestFolder,
  testShards,
} from './test-context.ts'

export interface TestStack extends Stack {
  databaseUrl: string
  /** The notices and the parts that were given up, as npm start would print them. */
  notices: string[]
}

/**
 * Starts the whole system as npm start does, with the API and the worker in their own processes. Its database and queue
 * are on the servers that all tests share.
 *
 * @param variables environment of both apps, beside what npm start sets.
 */
export async function startTestStack(
  releaser: Releaser,
  kind?: BackendKind,
  variables: Readonly<Record<string, string>> = {},
  /** Another way to the database at `url`: variables for npm start itself. */
  wayTo: (url: string) => Promise<Readonly<Record<string, string>>> = async () => ({}),
): Promise<TestStack> {
  const queue = kind ?? (inject('servers').redisUrl === undefined ? 'postgres' : 'redis')
  const { url } = await createTestDatabase(releaser)
  const backend = await createTestBackend(queue, releaser, { url })
  const notices: string[] = []
  const way = await wayTo(url)
  const { DATABASE_URL, ...direct } = databaseVariables({ url })
  const env = readStartEnv({
    PORT: String(await findFreePort()),
    DATA_DIR: await makeTestFolder(releaser),
    ...('DATABASE_URL_FILE' in way ? {} : { DATABASE_URL }),
    QUEUE_BACKEND: queue,
    QUEUE_SHARDS: String(testShards(backend)),
    ...(backend.kind === 'redis' && { REDIS_URL: backend.url, QUEUE_PREFIX: backend.prefix }),
    ...direct,
    ...way,
  })
  const stack = await startStack({
    env,
    // A client keeps no connection that the API closes so soon. A stopping API waits 4 s for those that are open.
    baseEnv: { PASSWORD_ITERATIONS: '1000', KEEP_ALIVE_TIMEOUT: '1', ...variables, ...way },
    signal: new AbortController().signal,
    onStep: () => {},
    onNotice: (text) => void notices.push(text),
    onGiveUp: (part) => void notices.push(`${part} was given up`),
  })
  releaser.onRelease(stack.stop)
  return { ...stack, databaseUrl: url, notices }
}
