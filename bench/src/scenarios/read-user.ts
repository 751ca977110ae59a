import { HTTP_CEILINGS } from '../contenders/peers.ts'
import { startTidings } from '../contenders/tidings.ts'
import { USERS, userIdOf } from '../load/bodies.ts'
import type { LoadRequest } from '../load/protocol.ts'
import { runLoad } from '../load/run-load.ts'
import { readUserRequest, registerUser, zipfReads } from '../load/users.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const CONNECTIONS = 64
const ZIPF_REQUESTS = 64_000

/** GET /api/v1/users/{id}/: a user reads their own record, and a service reads those of many users. */
export const READ_USER: Scenario = {
  name: 'read-user',
  title: 'Read user',
  async run(context) {
    const { site } = context
    await site.clear()
    const tidings = await startTidings(site, { apis: 1, workers: 0, shards: 1 })
    const echo = await HTTP_CEILINGS.find((ceiling) => ceiling.name === 'hono-echo')?.start(site)
    if (echo === undefined) throw new Error('There is no hono-echo')
    try {
      const [api = ''] = tidings.urls
      const [echoUrl = ''] = echo.urls
      const user = await registerUser(api, `reader-${Date.now()}@example.com`)
      const own = [readUserRequest(user.id)]
      const rows = await runRounds(context, 'read-user', [
        {
          name: 'tidings-own',
          label: 'Tidings, own user, access token',
          kind: 'tidings',
          measure: () => measureReads(context, api, user.accessToken, own),
        },
        {
          name: 'tidings-zipf',
          label: `Tidings, ${USERS.toLocaleString('en-US')} users by Zipf, service key`,
          kind: 'tidings',
          measure: () => measureReads(context, api, site.apiKey, zipfReads(USERS, ZIPF_REQUESTS)),
        },
        {
          name: 'hono-get',
          label: 'Hono, the same answer from memory',
          kind: 'ceiling',
          measure: () => measureReads(context, echoUrl, undefined, [readUserRequest(userIdOf(1))]),
        },
      ])
      const share = ratioOf(rows, 'tidings-own', 'readsPerSecond', 'hono-get')
      return {
        columns: [
          { metric: 'readsPerSecond', title: 'reads', unit: 'perSecond' },
          { metric: 'p50Ms', title: 'p50', unit: 'ms' },
          { metric: 'p99Ms', title: 'p99', unit: 'ms' },
        ],
        rows,
        goals: [
          {
            text: 'warm read at least 60 % of Hono answering from memory',
            figure: `${(share * 100).toFixed(0)} %`,
            met: share >= 0.6,
          },
        ],
        notes: [
          `${CONNECTIONS} connections. The API verifies the token; the session and the user come from its cache.`,
        ],
      }
    } finally {
      await tidings.stop()
      await echo.stop()
    }
  },
}

async function measureReads(
  { effort }: ScenarioContext,
  url: string,
  bearer: string | undefined,
  requests: LoadRequest[],
) {
  const plan = { url, bearer, connections: CONNECTIONS, traffic: { kind: 'requests', requests } as const }
  await runLoad({ ...plan, seconds: effort.warmUpSeconds })
  const report = await runLoad({ ...plan, seconds: effort.seconds })
  if (report.failed > 0) throw new Error(`${report.failed} reads failed`)
  return { readsPerSecond: report.ok / report.seconds, p50Ms: report.p50Ms, p99Ms: report.p99Ms }
}
