import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { CeilingReport } from '../../ceilings/report.ts'
import { startTidings } from '../contenders/tidings.ts'
import type { LoadRequest } from '../load/protocol.ts'
import { runLoad } from '../load/run-load.ts'
import { loginRequest, registerRequest, registerUser } from '../load/users.ts'
import { forkForResult } from '../processes.ts'
import { medianOf, ratioOf, runRounds } from './rounds.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const PBKDF2 = fileURLToPath(new URL('../../ceilings/pbkdf2.ts', import.meta.url))
/** Default of PASSWORD_ITERATIONS. */
const ITERATIONS = 600_000
const USERS = 8
/** Two per core: a hash always waits, and none waits long. */
const CONNECTIONS = availableParallelism() * 2
/** Status posts during the flood of logins, in requests per second. */
const STATUS_RATE = 50
/** A hash takes a large part of a second: a shorter load completes too few for a rate. */
const LEAST_SECONDS = 6

/** Logins and registrations beside hashing alone, and their effect on status posts. */
export const LOGIN: Scenario = {
  name: 'login',
  title: 'Login and register',
  async run(context) {
    const { site, effort } = context
    await site.clear()
    const seconds = Math.max(effort.seconds, LEAST_SECONDS)
    const tidings = await startTidings(site, { apis: 1, workers: 1, shards: 1 })
    try {
      const [api = ''] = tidings.urls
      const run = Date.now()
      const emails = Array.from({ length: USERS }, (_, n) => `login-${run}-${n}@example.com`)
      for (const email of emails) await registerUser(api, email)
      const logins = emails.map(loginRequest)
      const rows = await runRounds(context, 'login', [
        {
          name: 'login',
          label: 'Tidings, login',
          kind: 'tidings',
          measure: () => measureRate(api, logins, seconds),
        },
        {
          name: 'register',
          label: 'Tidings, register',
          kind: 'tidings',
          measure: (round) =>
            measureRate(
              api,
              Array.from({ length: 1_000 }, (_, n) =>
                registerRequest(`new-${run}-${round}-${n}@example.com`),
              ),
              seconds,
            ),
        },
        {
          name: 'login-with-status',
          label: 'Tidings, login, during status posts',
          kind: 'tidings',
          measure: () => measureBoth(context, api, logins, seconds),
        },
        {
          name: 'pbkdf2',
          label: 'PBKDF2 alone',
          kind: 'ceiling',
          async measure() {
            const args = [String(ITERATIONS), String(seconds)]
            const { perSecond } = await forkForResult<CeilingReport>(
              PBKDF2,
              args,
              {},
              seconds * 1_000 + 30_000,
            )
            return { hashesPerSecond: perSecond }
          },
        },
      ])
      const login = ratioOf(rows, 'login', 'hashesPerSecond', 'pbkdf2')
      const register = ratioOf(rows, 'register', 'hashesPerSecond', 'pbkdf2')
      const statusP99 = medianOf(rows, 'login-with-status', 'statusP99Ms')
      return {
        columns: [
          { metric: 'hashesPerSecond', title: 'requests or hashes', unit: 'perSecond' },
          { metric: 'p50Ms', title: 'p50', unit: 'ms' },
          { metric: 'p99Ms', title: 'p99', unit: 'ms' },
          { metric: 'statusP50Ms', title: 'status p50', unit: 'ms' },
          { metric: 'statusP99Ms', title: 'status p99', unit: 'ms' },
        ],
        rows,
        goals: [
          { text: 'login at least 90 % of raw PBKDF2', figure: percent(login), met: login >= 0.9 },
          { text: 'register at least 90 % of raw PBKDF2', figure: percent(register), met: register >= 0.9 },
          {
            text: 'status p99 under 50 ms during a flood of logins',
            figure: `${statusP99.toFixed(1)} ms`,
            met: statusP99 < 50,
          },
        ],
        notes: [
          `${ITERATIONS.toLocaleString('en-US')} iterations of PBKDF2-HMAC-SHA256, ${CONNECTIONS} connections; rate limits off. Status posts come at ${STATUS_RATE}/s.`,
        ],
      }
    } finally {
      await tidings.stop()
    }
  },
}

const percent = (share: number) => `${(share * 100).toFixed(0)} %`

async function measureRate(url: string, requests: LoadRequest[], seconds: number) {
  const report = await runLoad({
    url,
    bearer: undefined,
    connections: CONNECTIONS,
    seconds,
    traffic: { kind: 'requests', requests },
  })
  if (report.failed > 0) throw new Error(`${report.failed} of ${report.ok + report.failed} requests failed`)
  return { hashesPerSecond: report.ok / report.seconds, p50Ms: report.p50Ms, p99Ms: report.p99Ms }
}

async function measureBoth({ site }: ScenarioContext, url: string, logins: LoadRequest[], seconds: number) {
  const [flood, status] = await Promise.all([
    measureRate(url, logins, seconds),
    runLoad({
      url,
      bearer: site.apiKey,
      connections: 8,
      seconds,
      perSecond: STATUS_RATE,
      traffic: { kind: 'events', batch: 1, label: 'during-logins' },
    }),
  ])
  return { ...flood, statusP50Ms: status.p50Ms, statusP99Ms: status.p99Ms }
}
