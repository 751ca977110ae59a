import { openRedis } from '@tidings/queue/open-redis'
import type { Releaser } from '@tidings/stack/releaser'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend } from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'

export interface TestRedis {
  url: string
  prefix: string
  connection: Redis
}

/** Connects to the shared Redis, with a private key prefix. */
export async function openTestRedis(releaser: Releaser): Promise<TestRedis> {
  const backend = await createTestBackend('redis', releaser)
  if (backend.kind !== 'redis') throw new Error('Redis was asked for')
  const { url, prefix } = backend
  return { url, prefix, connection: await connectRedis(url, releaser) }
}

/** Connects as the API does, and waits until the connection is ready. */
export async function connectRedis(url: string, releaser: Releaser): Promise<Redis> {
  const connection = releaser.add(
    openRedis({ url }, 'fail-fast', () => {}),
    (opened) => opened.disconnect(),
  )
  await waitFor('Redis', async () => connection.status === 'ready')
  if (!(connection instanceof Redis)) throw new Error('The shared Redis is one server')
  return connection
}
