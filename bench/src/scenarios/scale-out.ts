import type { TidingsSize } from '../contenders/tidings.ts'
import { startTidings } from '../contenders/tidings.ts'
import { measureIngest } from '../measure-ingest.ts'
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

/** More processes and more queues, as far as the machine's cores can tell. */
export const SCALE_OUT: Scenario = {
  name: 'scale-out',
  title: 'Scale out',
  async run(context) {
    const { site, effort } = context
    const sizes = effort.quick ? SIZES.slice(0, 4).filter((_, index) => index % 3 === 0) : SIZES
    const rows = await runRounds(
      context,
      'scale-out',
      sizes.map((size) => ({
        name: `${size.apis}-${size.workers}-${size.shards}`,
        label: `${size.apis} API × ${size.workers} worker, ${size.shards} queue${size.shards > 1 ? 's' : ''}`,
        kind: 'tidings',
        async measure(round) {
          await site.clear()
          const tidings = await startTidings(site, size)
          try {
            const plan = { connections: CONNECTIONS, batch: 1 }
            await measureIngest(site, tidings, {
              ...plan,
              seconds: effort.warmUpSeconds,
              label: `warm-${round}`,
            })
            await site.pool.query('TRUNCATE notification_status')
            const full = await measureIngest(site, tidings, {
              ...plan,
              seconds: effort.seconds,
              label: `full-${round}`,
            })
            return {
              storedPerSecond: full.storedPerSecond,
              acceptedPerSecond: full.acceptedPerSecond,
              postP99Ms: full.postP99Ms,
              rowP99Ms: full.rowP99Ms,
            }
          } finally {
            await tidings.stop()
          }
        },
      })),
    )
    return {
      name: 'scale-out',
      title: 'Scale out',
      columns: [
        { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
        { metric: 'acceptedPerSecond', title: 'accepted', unit: 'perSecond' },
        { metric: 'postP99Ms', title: 'POST p99', unit: 'ms' },
        { metric: 'rowP99Ms', title: 'to row p99', unit: 'ms' },
      ],
      rows,
      goals: [],
      notes: [
        `${CONNECTIONS} connections in all, single events. With all cores busy at 1 × 1 already, more processes cannot store more here; the table shows that they cost little.`,
      ],
    }
  },
}
