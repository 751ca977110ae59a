import { startTidings } from '../contenders/tidings.ts'
import type { Site } from '../site.ts'
import { measureFullLoad, toIngestMetrics, USAGE_COLUMNS } from './full-load.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { ResultRow, Scenario } from './scenario.ts'

const CONNECTIONS = 128
/** Well below what two cores can do: the cost of an event must not hang on how full the machine is. */
const EVENTS_PER_SECOND = 2_000
/** What the dearest number of shards or masters may cost more than the cheapest. */
const GOAL = 1.1
const SHARDS_OF_MASTERS = 6
const COMPONENTS = ['Api', 'Worker', 'Redis', 'Postgres'] as const

/** The processor time of an event with more shards, and with more masters under them. */
export const SHARDS: Scenario = {
  name: 'shards',
  title: 'Cost by shards and masters',
  async run(context) {
    const { effort, site } = context
    const subject = (name: string, label: string, own: Site, shards: number) => ({
      name,
      label,
      kind: 'tidings' as const,
      measure: (round: number) =>
        measureFullLoad(
          context,
          { site: own, start: () => startTidings(own, { apis: 1, workers: 1, shards }) },
          {
            connections: CONNECTIONS,
            batch: 1,
            perSecond: EVENTS_PER_SECOND,
            seconds: effort.seconds,
            warmUpSeconds: effort.warmUpSeconds,
            round,
          },
          ({ full }) => toIngestMetrics(full),
        ),
    })
    const byShards = [1, 2, 4, 6].map((shards) =>
      subject(`shards-${shards}`, `one Redis, ${shards} shard${shards > 1 ? 's' : ''}`, site, shards),
    )
    const byMasters = []
    for (const masters of [1, 2, 3]) {
      const cluster = await site.withCluster({ masters, replicas: 0 })
      const label = `cluster of ${masters}, ${SHARDS_OF_MASTERS} shards`
      byMasters.push(subject(`masters-${masters}`, label, cluster, SHARDS_OF_MASTERS))
    }
    const rows = await runRounds(context, 'shards', [...byShards, ...byMasters])
    return {
      columns: [...USAGE_COLUMNS, { metric: 'postP99Ms', title: 'POST p99', unit: 'ms' }],
      rows,
      goals: [compare(rows, 'shards', '1 to 6 shards'), compare(rows, 'masters', '1 to 3 masters')],
      notes: [
        `${CONNECTIONS} connections, one event per POST, an even rate of ${EVENTS_PER_SECOND} a second, 1 API and 1 worker; microseconds of processor time per event.`,
        'The goals compare what is left after dividing by the generator in the same load: its work is always the same, so it shows how fast the machine was.',
      ],
    }
  },
}

/** Compares the processor time for each microsecond of the load generator: its work is always the same. */
function compare(rows: readonly ResultRow[], prefix: string, what: string) {
  const names = rows.map(({ name }) => name).filter((name) => name.startsWith(prefix))
  const ratios = COMPONENTS.map((component) => {
    const costs = names.map((name) =>
      ratioOf(rows, name, `cpu${component}Micros`, name, 'cpuGeneratorMicros'),
    )
    return { component, ratio: Math.max(...costs) / Math.min(...costs) }
  })
  return {
    text: `${what}: no component costs more than ${Math.round((GOAL - 1) * 100)} % more`,
    figure: ratios.map(({ component, ratio }) => `${component} ${ratio.toFixed(2)}`).join(', '),
    met: ratios.every(({ ratio }) => ratio <= GOAL),
  }
}
