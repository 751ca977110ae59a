import { startTidings } from '../contenders/tidings.ts'
import { measureFullLoad, RATE_COLUMNS, toIngestMetrics, USAGE_COLUMNS } from './full-load.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { Scenario } from './scenario.ts'

const SIZE = { apis: 1, workers: 1, shards: 6 }
const LOADS = [
  { batch: 1, connections: 128 },
  { batch: 100, connections: 16 },
]
const describeLoad = (batch: number) => (batch === 1 ? 'single events' : `batches of ${batch}`)
/** What must be left of the rate without. */
const GOAL = 0.5

/** The price of a 202 that waits for a replica, on a cluster of three masters with a replica each. */
export const ACK_REPLICAS: Scenario = {
  name: 'ack-replicas',
  title: 'ACK_REPLICAS on a cluster',
  async run(context) {
    const { effort, site } = context
    const own = await site.withCluster({ masters: 3, replicas: 1 })
    const subject = (replicas: number, { batch, connections }: (typeof LOADS)[number]) => ({
      name: `${batch}-${replicas}`,
      label: `${describeLoad(batch)}, ACK_REPLICAS=${replicas}`,
      kind: 'tidings' as const,
      measure: (round: number) =>
        measureFullLoad(
          context,
          { site: own, start: () => startTidings(own, { ...SIZE, env: { ACK_REPLICAS: String(replicas) } }) },
          { connections, batch, seconds: effort.seconds, warmUpSeconds: effort.warmUpSeconds, round },
          ({ full }) => toIngestMetrics(full),
        ),
    })
    const rows = await runRounds(
      context,
      'ack-replicas',
      LOADS.flatMap((load) => [subject(0, load), subject(1, load)]),
    )
    return {
      columns: [...RATE_COLUMNS, ...USAGE_COLUMNS],
      rows,
      goals: LOADS.map(({ batch }) => {
        const share = ratioOf(rows, `${batch}-1`, 'acceptedPerSecond', `${batch}-0`)
        return {
          text: `${describeLoad(batch)}: at least ${GOAL * 100} % of the rate without`,
          figure: `${(share * 100).toFixed(0)} %`,
          met: share >= GOAL,
        }
      }),
      notes: [
        '3 masters with a replica each, 6 shards, 1 API and 1 worker, all on one machine; events, not requests, per second.',
      ],
    }
  },
}
