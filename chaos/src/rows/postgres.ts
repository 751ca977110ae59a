import { setTimeout as sleep } from 'node:timers/promises'
import { withClient } from '@tidings/stack/servers/postgres'
import { postStatus } from '../post-status.ts'
import { check, type Row, runUnderLoad } from '../row.ts'
import { countStalled, countUnfinished, readStores } from '../settle.ts'
import { requireRedis, type System } from '../system.ts'

export const postgresRows: Row[] = [
  {
    name: 'postgres-kill',
    fault: 'PostgreSQL kill -9',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system }) => {
        for (let i = 0; i < 3; i++) {
          await sleep(1_000 + 1_000 * stage.random())
          await stage.servers.postgres.kill9()
          await stage.servers.postgres.start()
          stage.progress(`kill ${i + 1}/3`)
        }
        await sleep(1_000)
        return [await checkNoDeadLetters(system)]
      }),
  },
  {
    name: 'postgres-down',
    fault: 'PostgreSQL down 30 s (stop immediate)',
    short: true,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        const seconds = stage.short ? 3 : 30
        await sleep(1_000)
        await stage.servers.postgres.stop('immediate')
        for (let s = 0; s < seconds; s++) {
          await sleep(1_000)
          stage.progress(`down ${s + 1}/${seconds} s`)
        }
        const jobs = await system.queue.getJobs(['waiting', 'delayed', 'active'], 0, 2_000)
        const usedAttempts = jobs.reduce((sum, job) => sum + job.attemptsMade, 0)
        await stage.servers.postgres.start()
        await sleep(1_000)
        const accepted = ledger.acceptedShare
        return [
          check('jobs were waiting', jobs.length > 0, jobs.length),
          check('attempts unchanged', usedAttempts === 0, `${usedAttempts} in ${jobs.length} jobs`),
          check('posts accepted meanwhile', accepted >= 0.99, `${(accepted * 100).toFixed(2)} %`),
          await checkNoDeadLetters(system),
        ]
      }),
  },
  {
    name: 'postgres-locked',
    fault: 'PostgreSQL locked 20 s (LOCK TABLE)',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        let held = 0
        await sleep(1_000)
        await withClient(stage.servers.postgres.url(system.databaseName), async (client) => {
          await client.query('BEGIN')
          await client.query('LOCK TABLE notification_status IN ACCESS EXCLUSIVE MODE')
          await sleep(20_000)
          held = await countUnfinished(system)
          await client.query('COMMIT')
        })
        await sleep(1_000)
        const accepted = ledger.acceptedShare
        const stalled = await countStalled(system)
        return [
          check('jobs were waiting', held > 100, held),
          check('0 stalled', stalled === 0, stalled),
          check(
            'posts still answered',
            accepted >= 0.99,
            `${(accepted * 100).toFixed(2)} %, slowest ${Math.round(ledger.slowestMs)} ms`,
          ),
          await checkNoDeadLetters(system),
        ]
      }),
  },
  {
    name: 'postgres-read-only',
    fault: 'PostgreSQL read-only (default_transaction_read_only)',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system }) => {
        const setReadOnly = (value: 'on' | 'off') =>
          withClient(stage.servers.postgres.adminUrl, async (client) => {
            // A superuser may change the setting even while the server is read-only.
            await client.query('SET default_transaction_read_only = off')
            await client.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`)
            await client.query('SELECT pg_reload_conf()')
          })
        await sleep(1_000)
        await setReadOnly('on')
        await sleep(15_000)
        const held = await countUnfinished(system)
        await setReadOnly('off')
        await sleep(1_000)
        return [check('jobs were waiting', held > 100, held), await checkNoDeadLetters(system)]
      }),
  },
  {
    name: 'both-down',
    fault: 'Redis and PostgreSQL down',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, {}, async ({ system, ledger }) => {
        const { postgres } = stage.servers
        const redis = requireRedis(stage.servers)
        await sleep(1_000)
        await Promise.all([postgres.stop('immediate'), redis.kill9()])
        await sleep(1_500)
        const answer = await postStatus(system, system.apis[0]?.url, { notification_id: 'nobody' })
        await sleep(5_000)
        await Promise.all([postgres.start(), redis.start()])
        await sleep(3_000)
        return [
          check('503 with both down', answer.status === 503, answer.status),
          check('Retry-After', answer.headers.has('retry-after'), answer.headers.get('retry-after')),
          check('every post answered ≤ 1 s', ledger.slowestMs <= 1_000, `${Math.round(ledger.slowestMs)} ms`),
        ]
      }),
  },
]

async function checkNoDeadLetters(system: System) {
  const { deadLetters } = await readStores(system)
  return check('0 dead letters', deadLetters.size === 0, deadLetters.size)
}
