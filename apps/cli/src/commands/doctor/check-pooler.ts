import { openDatabase } from '@tidings/db/database'
import { isPooled } from '@tidings/db/session-settings'
import type pg from 'pg'
import type { CliEnv } from '../../env.ts'
import { storeError } from '../../exit-codes.ts'
import { type CheckResult, failure, ok, warning } from './check-result.ts'

export const POOLER = 'Pooler'

/** Looks at the way to PostgreSQL that the API and the worker take. Says nothing when no pooler is on it. */
export async function checkPooler({ DATABASE_URL, DATABASE_DIRECT_URL }: CliEnv): Promise<CheckResult[]> {
  const db = openDatabase({
    url: DATABASE_URL,
    applicationName: 'tidings-cli',
    maxConnections: 1,
    onError: () => undefined,
  })
  try {
    const client = await db.pool.connect()
    try {
      if (!(await isPooled(client))) return []
      const refusal = await findRefusal(client)
      if (refusal !== undefined)
        return [
          failure(POOLER, `refuses transactions: ${refusal}`, 'Set pool_mode of PgBouncer to transaction.'),
        ]
      const { rows } = await client.query<{ interval: string }>(
        "SELECT current_setting('client_connection_check_interval') AS interval",
      )
      return describePooler(DATABASE_DIRECT_URL !== undefined, rows[0]?.interval !== '0')
    } finally {
      client.release()
    }
  } finally {
    await db.close()
  }
}

/** Why the pooler takes no transaction: in statement mode nothing in Tidings works. */
async function findRefusal(client: pg.ClientBase): Promise<string | undefined> {
  try {
    await client.query('BEGIN')
    await client.query('ROLLBACK')
    return undefined
  } catch (error) {
    return storeError(error)
  }
}

function describePooler(hasDirectUrl: boolean, endsAbandoned: boolean): CheckResult[] {
  const advice = [
    hasDirectUrl ? '' : 'Set DATABASE_DIRECT_URL to PostgreSQL itself.',
    endsAbandoned
      ? ''
      : "Let PostgreSQL end statements whose client gave up: ALTER ROLE … SET client_connection_check_interval = '1s'.",
  ]
    .filter((sentence) => sentence !== '')
    .join(' ')
  const found = 'DATABASE_URL leads through one'
  return [advice === '' ? ok(POOLER, found) : warning(POOLER, found, `${advice} See docs/postgres.md.`)]
}
