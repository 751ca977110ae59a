import { Redis } from 'ioredis'

/** Sends one command to the Redis on a port of this machine, over a connection of its own: it may be frozen or gone. */
export async function askRedis(
  port: number,
  command: string,
  ...args: (string | number)[]
): Promise<unknown> {
  const redis = new Redis(port, '127.0.0.1', {
    retryStrategy: () => null,
    commandTimeout: 2_000,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
  })
  redis.on('error', () => undefined)
  try {
    return await redis.call(command, ...args)
  } finally {
    redis.disconnect()
  }
}
