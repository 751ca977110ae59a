import { mastersOf, type RedisConnection } from '@tidings/queue/open-redis'
import { withClient } from '@tidings/stack/servers/postgres'
import type { Redis } from 'ioredis'

/** Lists every table with a row that contains the text, in any case. */
export async function findTextInPostgres(url: string, text: string): Promise<string[]> {
  return withClient(url, async (client) => {
    const tables = await client.query<{ name: string }>(
      `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    )
    const found: string[] = []
    for (const { name } of tables.rows) {
      const { rows } = await client.query(
        `SELECT 1 FROM ${name} t WHERE strpos(lower(row_to_json(t)::text), lower($1)) > 0 LIMIT 1`,
        [text],
      )
      if (rows.length > 0) found.push(name)
    }
    return found
  })
}

/** Lists every key whose name or value contains the text, in any case. */
export async function findTextInRedis(redis: RedisConnection, text: string): Promise<string[]> {
  // A cluster knows its masters once it is connected.
  await redis.ping()
  const found: string[] = []
  for (const master of mastersOf(redis))
    for (const key of await master.keys('*')) {
      const content = `${key}\n${JSON.stringify(await readValue(master, key))}`
      if (content.toLowerCase().includes(text.toLowerCase())) found.push(key)
    }
  return found
}

async function readValue(redis: Redis, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return redis.get(key)
    case 'hash':
      return redis.hgetall(key)
    case 'list':
      return redis.lrange(key, 0, -1)
    case 'set':
      return redis.smembers(key)
    case 'zset':
      return redis.zrange(key, '0', '-1')
    case 'stream':
      return redis.xrange(key, '-', '+')
    default:
      return undefined
  }
}
