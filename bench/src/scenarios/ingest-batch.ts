import { fileURLToPath } from 'node:url'
import type { CeilingReport } from '../../ceilings/report.ts'
import { PEERS } from '../contenders/peers.ts'
import { TIDINGS, tidingsAgainst } from '../contenders/tidings.ts'
import { measureIngest } from '../measure-ingest.ts'
import { forkForResult } from '../processes.ts'
import { usageMetricsOf } from './ingest-single.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const CONNECTIONS = 16
const BATCH = 100
const UNNEST = fileURLToPath(new URL('../../ceilings/unnest.ts', import.meta.url))
const BULLMQ_NOOP = fileURLToPath(new URL('../../ceilings/bullmq-noop.ts', import.meta.url))
const CEILING_LIMIT_MS = 120_000

/** Batches of 100 events, against what the INSERT alone can do. */
export const INGEST_BATCH: Scenario = {
  name: 'ingest-batch',
  title: 'Ingest, batches of 100',
  async run(context) {
    const rows = await runRounds(context, 'ingest-batch', [
      ...[TIDINGS, ...tidingsAgainst(context), ...PEERS].map((contender) => ({
        ...contender,
        async measure(round: number) {
          const { site, effort } = context
          await site.clear()
          const running = await contender.start(site)
          try {
            const plan = { connections: CONNECTIONS, batch: BATCH }
            await measureIngest(site, running, {
              ...plan,
              seconds: effort.warmUpSeconds / 2,
              label: `warm-${round}`,
            })
            await site.pool.query('TRUNCATE notification_status')
            const full = await measureIngest(site, running, {
              ...plan,
              seconds: effort.seconds / 2,
              label: `full-${round}`,
            })
            return {
              storedPerSecond: full.storedPerSecond,
              acceptedPerSecond: full.acceptedPerSecond,
              postP50Ms: full.postP50Ms,
              postP99Ms: full.postP99Ms,
              failed: full.failed,
              ...usageMetricsOf(full),
            }
          } finally {
            await running.stop()
          }
        },
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
      name: 'ingest-batch',
      title: 'Ingest, batches of 100',
      columns: [
        { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
        { metric: 'acceptedPerSecond', title: 'accepted', unit: 'perSecond' },
        { metric: 'postP50Ms', title: 'POST p50', unit: 'ms' },
        { metric: 'postP99Ms', title: 'POST p99', unit: 'ms' },
        { metric: 'cpuApiMicros', title: 'CPU api', unit: 'micros' },
        { metric: 'cpuWorkerMicros', title: 'CPU worker', unit: 'micros' },
        { metric: 'cpuRedisMicros', title: 'CPU redis', unit: 'micros' },
        { metric: 'cpuPostgresMicros', title: 'CPU postgres', unit: 'micros' },
        { metric: 'cpuGeneratorMicros', title: 'CPU generator', unit: 'micros' },
        { metric: 'rssApiMb', title: 'RSS api', unit: 'megabytes' },
        { metric: 'rssWorkerMb', title: 'RSS worker', unit: 'megabytes' },
      ],
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
    { REDIS_URL: site.redis.url },
    CEILING_LIMIT_MS,
  )
  return { storedPerSecond: perSecond }
}
