import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRedis } from '@tidings/queue/backend'
import { type RedisServer, startRedis } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import type { Releaser } from '@tidings/stack/testing/releaser'
import { createTestBackend } from '@tidings/stack/testing/test-context'
import type { Redis } from 'ioredis'

export interface TestRedis {
  url: string
  prefix: string
  connection: Redis
}

/** Connects to the shared Redis, with a key prefix of its own. */
export async function openTestRedis(releaser: Releaser): Promise<TestRedis> {
  const backend = await createTestBackend('redis', releaser)
  if (backend.kind !== 'redis') throw new Error('Redis was asked for')
  const { url, prefix } = backend
  return { url, prefix, connection: await connectRedis(url, releaser) }
}

/** Connects as the API does, and waits until the connection is ready. */
export async function connectRedis(url: string, releaser: Releaser): Promise<Redis> {
  const connection = releaser.add(
    openRedis(url, 'fail-fast', () => {}),
    (opened) => opened.disconnect(),
  )
  await waitFor('Redis', async () => connection.status === 'ready')
  return connection
}

/** Starts a Redis that the test may kill, freeze or configure. */
export async function startPrivateRedis(
  releaser: Releaser,
  settings?: Record<string, string>,
): Promise<RedisServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidings-redis-'))
  releaser.onRelease(() => rm(dataDir, { recursive: true, force: true }))
  return releaser.add(await startRedis({ dataDir, ...(settings && { settings }) }), (server) => server.stop())
}
