import type { TidingsSize } from '../contenders/tidings.ts'
import { startTidings } from '../contenders/tidings.ts'
import { measureFullLoad, toIngestMetrics } from './full-load.ts'
import { runRounds } from './rounds.ts'
import type { Scenario } from './scenario.ts'

const CONNECTIONS = 128

const SIZES: readonly TidingsSize[] = [
  { apis: 1, workers: 1, shards: 1 },
  { apis: 2, workers: 1, shards: 1 },
  { apis: 1, workers: 2, shards: 1 },
  { apis: 2, workers: 2, shards: 1 },
  { apis: 2, workers: 2, shards: 2 },
  { apis: 2, workers: 2, shards: 4 },
]

/** More processes and more queues. The cores of the machine bound what this can show. */
export const SCALE_OUT: Scenario = {
  name: 'scale-out',
  title: 'Scale out',
  async run(context) {
    const { effort } = context
    const sizes = effort.quick ? SIZES.slice(0, 4).filter((_, index) => index % 3 === 0) : SIZES
    const rows = await runRounds(
      context,
      'scale-out',
      sizes.map((size) => ({
        name: `${size.apis}-${size.workers}-${size.shards}`,
        label: `${size.apis} API × ${size.workers} worker, ${size.shards} queue${size.shards > 1 ? 's' : ''}`,
        kind: 'tidings',
        measure: (round) =>
          measureFullLoad(
            context,
            { start: (site) => startTidings(site, size) },
            {
              connections: CONNECTIONS,
              batch: 1,
              seconds: effort.seconds,
              warmUpSeconds: effort.warmUpSeconds,
              round,
            },
            ({ full }) => toIngestMetrics(full),
          ),
      })),
    )
    return {
      columns: [
        { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
        { metric: 'acceptedPerSecond', title: 'accepted', unit: 'perSecond' },
        { metric: 'postP99Ms', title: 'POST p99', unit: 'ms' },
        { metric: 'rowP99Ms', title: 'to row p99', unit: 'ms' },
      ],
      rows,
      goals: [],
      notes: [
        `${CONNECTIONS} connections in all, single events. All cores are busy at 1 × 1 already, so more processes cannot store more here; the table shows their overhead.`,
      ],
    }
  },
}
