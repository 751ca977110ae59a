import type { Redis } from 'ioredis'

const LIFETIME_SECONDS = 60

/**
 * Writes one small key, to find out whether Redis takes writes. A read-only replica and a Redis with full memory
 * answer PING.
 *
 * @throws Redis's reply, such as `READONLY` or `OOM`, or the error of the connection.
 */
export async function tryWrite(redis: Redis, prefix: string): Promise<void> {
  await redis.set(`${prefix}:write-check`, '1', 'EX', LIFETIME_SECONDS)
}
