import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { readStartEnv } from '../dev/env.ts'
import type { Stack } from '../dev/stack.ts'
import { startStack } from '../dev/start-stack.ts'
import { findFreePort } from '../servers/free-port.ts'
import type { Releaser } from './releaser.ts'
import { type BackendKind, createTestBackend, createTestDatabase } from './test-context.ts'

export interface TestStack extends Stack {
  databaseUrl: string
  /** What the stack said to its terminal after it was up. */
  notices: string[]
}

/**
 * The whole system as npm start brings it up, API and worker in processes of their own, on a database and a
 * queue of its own within the servers that all tests share.
 *
 * @param variables environment of both apps beside what the stack itself gives them.
 */
export async function startTestStack(
  releaser: Releaser,
  kind?: BackendKind,
  variables: Readonly<Record<string, string>> = {},
): Promise<TestStack> {
  const queue = kind ?? (inject('servers').redisUrl === undefined ? 'postgres' : 'redis')
  const { url } = await createTestDatabase(releaser)
  const backend = await createTestBackend(queue, releaser, { url })
  const dataDir = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-stack-')), (path) =>
    rm(path, { recursive: true, force: true }),
  )
  const notices: string[] = []
  const stopping = new AbortController()
  const env = readStartEnv({
    PORT: String(await findFreePort()),
    DATA_DIR: dataDir,
    DATABASE_URL: url,
    QUEUE_BACKEND: queue,
    ...(backend.kind === 'redis' && { REDIS_URL: backend.url, QUEUE_PREFIX: backend.prefix }),
  })
  const stack = await startStack({
    env,
    baseEnv: { ...process.env, NODE_ENV: undefined, PASSWORD_ITERATIONS: '1000', ...variables },
    signal: stopping.signal,
    onStep: () => {},
    onNotice: (text) => void notices.push(text),
    onGiveUp: (part) => void notices.push(`${part} was given up`),
  })
  releaser.onRelease(stack.stop)
  return { ...stack, databaseUrl: url, notices }
}
