import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { type FaultyLink, LINK_FAULTS, openLink } from '../faulty-link.ts'
import { check, type Row, runUnderLoad, type Stage } from '../row.ts'
import { requireRedis } from '../system.ts'

const FAULT_MS = 8_000
const REST_MS = 3_000

type App = 'api' | 'worker'
type Store = 'Redis' | 'PostgreSQL'

/** Each connection is swallowed, half-closed and delayed in turn. */
export const linkRows: Row[] = (['api', 'worker'] as const).flatMap((app) =>
  (['Redis', 'PostgreSQL'] as const).map((store) => ({
    name: `link-${app}-${store.toLowerCase()}`,
    fault: `the network ${LINK_FAULTS.join(', ')}: ${app === 'api' ? 'API' : 'worker'} to ${store}`,
    short: false,
    run: (stage) => runOnLink(stage, app, store),
  })),
)

async function runOnLink(stage: Stage, app: App, store: Store) {
  let link: FaultyLink | undefined
  try {
    return await runUnderLoad(
      stage,
      {
        envOf: async (databaseUrl) => {
          link = await openLink(store === 'Redis' ? requireRedis(stage.servers).url : databaseUrl)
          return { [app]: { [store === 'Redis' ? 'REDIS_URL' : 'DATABASE_URL']: link.url } }
        },
      },
      async ({ ledger }) => {
        for (const fault of LINK_FAULTS) {
          await sleep(REST_MS)
          stage.progress(fault)
          link?.disturb(fault)
          await sleep(FAULT_MS)
          link?.repair()
        }
        const before = ledger.answered('202')
        await waitFor('posts to be accepted again', () => ledger.answered('202') > before + 50)
        const accepted = ledger.acceptedShare
        return [
          check('≥ 99 % of posts accepted', accepted >= 0.99, `${(accepted * 100).toFixed(2)} %`),
          check('every post answered ≤ 1 s', ledger.slowestMs <= 1_000, `${Math.round(ledger.slowestMs)} ms`),
        ]
      },
    )
  } finally {
    await link?.close()
  }
}
