import { mastersOf, openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import type { Releaser } from '@tidings/stack/releaser'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend } from '@tidings/stack/testing/test-context'

export interface TestRedis {
  url: string
  prefix: string
  connection: RedisConnection
}

/** Connects to the shared Redis, with a private key prefix. */
export async function openTestRedis(releaser: Releaser): Promise<TestRedis> {
  const backend = await createTestBackend('redis', releaser)
  if (backend.kind !== 'redis') throw new Error('Redis was asked for')
  const { url, prefix } = backend
  return { url, prefix, connection: await connectRedis(url, releaser) }
}

/** Lists the keys that match the pattern, in order, on every master. */
export async function listKeys(redis: RedisConnection, pattern: string): Promise<string[]> {
  const keys = await Promise.all(mastersOf(redis).map((master) => master.keys(pattern)))
  return keys.flat().toSorted()
}

/** Connects as the API does, and waits until the connection is ready. */
export async function connectRedis(url: string, releaser: Releaser): Promise<RedisConnection> {
  const connection = releaser.add(
    openRedis({ url }, 'fail-fast', () => {}),
    (opened) => opened.disconnect(),
  )
  await waitFor('Redis', async () => connection.status === 'ready')
  return connection
}
