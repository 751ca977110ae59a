import { fileURLToPath } from 'node:url'
import type { CeilingReport } from '../../ceilings/report.ts'
import { PEERS } from '../contenders/peers.ts'
import { TIDINGS } from '../contenders/tidings.ts'
import { forkForResult } from '../processes.ts'
import { measureFullLoad, RATE_COLUMNS, toIngestMetrics, USAGE_COLUMNS } from './full-load.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const CONNECTIONS = 16
const BATCH = 100
const UNNEST = fileURLToPath(new URL('../../ceilings/unnest.ts', import.meta.url))
const BULLMQ_NOOP = fileURLToPath(new URL('../../ceilings/bullmq-noop.ts', import.meta.url))
const CEILING_LIMIT_MS = 120_000

/** Batches of 100 events, beside the INSERT alone and the queue alone. */
export const INGEST_BATCH: Scenario = {
  name: 'ingest-batch',
  title: 'Ingest, batches of 100',
  async run(context) {
    const rows = await runRounds(context, 'ingest-batch', [
      ...[TIDINGS, ...context.against, ...PEERS].map((contender) => ({
        ...contender,
        measure: (round: number) =>
          measureFullLoad(
            context,
            contender,
            {
              connections: CONNECTIONS,
              batch: BATCH,
              seconds: context.effort.seconds / 2,
              warmUpSeconds: context.effort.warmUpSeconds / 2,
              round,
            },
            ({ full }) => toIngestMetrics(full),
          ),
      })),
      {
        name: 'unnest',
        label: 'PostgreSQL, multi-row INSERT only',
        kind: 'ceiling' as const,
        measure: () => measureUnnest(context),
      },
      {
        name: 'bullmq-noop',
        label: 'BullMQ, jobs that do nothing',
        kind: 'ceiling' as const,
        measure: () => measureNoop(context),
      },
    ])
    const share = ratioOf(rows, 'tidings', 'storedPerSecond', 'unnest')
    return {
      columns: [...RATE_COLUMNS, ...USAGE_COLUMNS],
      rows,
      goals: [
        {
          text: 'end to end at least 40 % of the INSERT alone',
          figure: `${(share * 100).toFixed(0)} %`,
          met: share >= 0.4,
        },
      ],
      notes: [`${CONNECTIONS} connections, ${BATCH} events per POST; events, not requests, per second.`],
    }
  },
}

async function measureUnnest({ site, effort }: ScenarioContext) {
  await site.clear()
  const { perSecond } = await forkForResult<CeilingReport>(
    UNNEST,
    [String(effort.seconds)],
    { DATABASE_URL: site.databaseUrl },
    CEILING_LIMIT_MS,
  )
  return { storedPerSecond: perSecond }
}

async function measureNoop({ site, effort }: ScenarioContext) {
  await site.clear()
  const { perSecond } = await forkForResult<CeilingReport>(
    BULLMQ_NOOP,
    [String(effort.quick ? 10_000 : 40_000)],
    { REDIS_URL: site.queue.url },
    CEILING_LIMIT_MS,
  )
  return { storedPerSecond: perSecond }
}
