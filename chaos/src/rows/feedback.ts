import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '@tidings/db/database'
import { type Check, check, type Row, runUnderLoad } from '../row.ts'

/** Makes the time between the rows and their consequences long enough to be hit by a kill. */
const SLOW_SUPPRESSIONS = `
  UPDATE service_keys SET scopes = scopes || '{feedback:write}';
  CREATE FUNCTION sleep_before() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';
  CREATE TRIGGER slow BEFORE INSERT ON suppressions FOR EACH STATEMENT EXECUTE FUNCTION sleep_before();`

// One statement reads both tables as of one moment.
const COMPARE = `
  SELECT count(s.digest)::int AS suppressed, count(*) FILTER (WHERE b.digest IS NULL)::int AS without_row,
    count(*) FILTER (WHERE s.digest IS NULL)::int AS without_suppression
  FROM (SELECT DISTINCT recipient_digest AS digest FROM notification_status WHERE status = 'bounced') b
  FULL JOIN (SELECT recipient_digest AS digest FROM suppressions) s ON s.digest = b.digest`

async function compare(db: Database): Promise<Check[]> {
  const { rows } = await db.pool.query(COMPARE)
  const { suppressed, without_row, without_suppression } = rows[0]
  return [
    check('recipients suppressed', suppressed > 0, suppressed),
    check('0 bounces without suppression', without_suppression === 0, without_suppression),
    check('0 suppressions without bounce', without_row === 0, without_row),
  ]
}

export const feedbackRows: Row[] = [
  {
    name: 'feedback-kill',
    fault: 'worker kill -9 ×20 between rows and suppressions',
    short: false,
    run: (stage) =>
      runUnderLoad(
        stage,
        {
          workers: 2,
          before: async ({ db }) => void (await db.pool.query(SLOW_SUPPRESSIONS)),
          load: {
            decorate: (n) =>
              n % 5 === 0
                ? { body: { status: 'bounced', error: 'no mailbox', recipient: `r${n}@example.com` } }
                : undefined,
          },
        },
        async ({ system }) => {
          const failed: Check[] = []
          for (let i = 0; i < 20; i++) {
            await sleep(150 + 400 * stage.random())
            const worker = system.workers[i % system.workers.length]
            await worker?.kill9()
            failed.push(...(await compare(system.db)).slice(1).filter(({ ok }) => !ok))
            await worker?.start()
            await worker?.untilReady()
            stage.progress(`kill ${i + 1}/20`)
          }
          return [...failed, ...(await compare(system.db))]
        },
      ),
  },
]
