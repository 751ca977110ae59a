import type { Database } from '@tidings/db/database'
import type { Replica } from '@tidings/db/replica'
import type { Context } from 'hono'
import type { ApiEnv } from './context.ts'

/**
 * Runs a read whose answer may be a few seconds behind: on the replica, unless the client forbids that with
 * `Cache-Control: no-cache`. Not for a read that answers 404: the client may just have been told that it is accepted.
 */
export type ReadStale = <Result>(
  c: Context<ApiEnv>,
  query: (db: Database) => Promise<Result>,
) => Promise<Result>

export function createReadStale(primary: Database, replica: Replica | undefined): ReadStale {
  return (c, query) =>
    replica === undefined || /\bno-cache\b/i.test(c.req.header('cache-control') ?? '')
      ? query(primary)
      : replica.run(query)
}
