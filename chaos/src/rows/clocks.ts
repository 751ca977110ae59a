import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { inheritedEnv } from '../env.ts'
import { check, type Row, runUnderLoad } from '../row.ts'

/** Clocks of the API and of the worker that are two hours apart. */
export const clockRows: Row[] = (
  [
    ['clock-api-ahead', '+1h', '-1h'],
    ['clock-worker-ahead', '-1h', '+1h'],
  ] as const
).map(([name, api, worker]) => ({
  name,
  fault: `clocks: API ${api}, worker ${worker} (faketime)`,
  short: false,
  needs: 'faketime',
  run: async (stage) =>
    runUnderLoad(
      stage,
      { processEnv: { api: await shiftClock(api), worker: await shiftClock(worker) } },
      async ({ system, ledger }) => {
        await sleep(5_000)
        await system.workers[0]?.kill9()
        await system.workers[0]?.start()
        await system.workers[0]?.untilReady()
        await sleep(3_000)
        const { rows } = await system.db.pool.query<{ hours: number }>(
          'SELECT extract(epoch FROM now() - min(received_at)) / 3600 AS hours FROM notification_status',
        )
        const failed = [...ledger.answers()].filter(([kind]) => kind !== '202')
        return [
          check('every post accepted', failed.length === 0, JSON.stringify(failed)),
          check(
            'the clock was shifted',
            Math.abs(Number(rows[0]?.hours)) > 0.9,
            `received ${Number(rows[0]?.hours).toFixed(2)} h ago`,
          ),
        ]
      },
    ),
}))

/** The environment in which faketime shows a program another time. Durations are measured as they are. */
async function shiftClock(offset: string): Promise<NodeJS.ProcessEnv> {
  const print = 'console.log(JSON.stringify(process.env.LD_PRELOAD))'
  const { stdout } = await promisify(execFile)('faketime', ['-f', offset, process.execPath, '-e', print], {
    env: inheritedEnv(),
  })
  return {
    LD_PRELOAD: JSON.parse(stdout),
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  }
}
