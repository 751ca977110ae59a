import type { Contender } from '../contenders/contender.ts'
import { HTTP_CEILINGS, PEERS } from '../contenders/peers.ts'
import { TIDINGS } from '../contenders/tidings.ts'
import { runLoad } from '../load/run-load.ts'
import { measureIngest, microsPerEvent, readProcessCpuMs } from '../measure-ingest.ts'
import {
  type FullLoad,
  measureFullLoad,
  RATE_COLUMNS,
  toIngestMetrics,
  toUsageMetrics,
  USAGE_COLUMNS,
} from './full-load.ts'
import { medianOf, ratioOf, runRounds } from './rounds.ts'
import type { Column, Goal, ResultRow, Scenario, ScenarioContext } from './scenario.ts'

const PACED_SHARE = 0.7

/** Single events: the rate at which contenders accept and store them, then latencies at 70 % of that rate. */
export const INGEST_SINGLE: Scenario = {
  name: 'ingest-single',
  title: 'Ingest, single events',
  async run(context) {
    const contenders = [TIDINGS, ...context.against, ...PEERS, ...HTTP_CEILINGS]
    const rows = await runRounds(
      context,
      'ingest-single',
      contenders.map((contender) => ({
        ...contender,
        measure: (round: number) =>
          contender.stores ? measureStoring(context, contender, round) : measureAnswering(context, contender),
      })),
    )
    return {
      columns: COLUMNS,
      rows,
      goals: compareWithGoals(rows),
      notes: [
        `${context.effort.connections} connections, one event per POST. Rate: rows divided by the time from the first request to the commit of the last row; for a ceiling, answers per second.`,
        `The latencies marked 70 % are at an even rate of ${PACED_SHARE * 100} % of the round's own rate. "To row" runs from the server taking the request to the commit of its row, so it holds the POST as well.`,
        'CPU is processor time per event of that process. The load generator has its own, out of the same cores.',
      ],
    }
  },
}

const COLUMNS: readonly Column[] = [
  ...RATE_COLUMNS,
  { metric: 'pacedPostP99Ms', title: 'POST p99, 70 %', unit: 'ms' },
  { metric: 'pacedRowP50Ms', title: 'to row p50, 70 %', unit: 'ms' },
  { metric: 'pacedRowP99Ms', title: 'to row p99, 70 %', unit: 'ms' },
  ...USAGE_COLUMNS,
]

function measureStoring(context: ScenarioContext, contender: Contender, round: number) {
  const { connections, seconds, warmUpSeconds } = context.effort
  const plan = { connections, batch: 1, seconds }
  return measureFullLoad(
    context,
    contender,
    { ...plan, warmUpSeconds, round },
    async ({ full, site, running }: FullLoad) => {
      const paced = await measureIngest(site, running, {
        ...plan,
        label: `paced-${round}`,
        perSecond: full.storedPerSecond * PACED_SHARE,
      })
      return {
        ...toIngestMetrics(full),
        pacedPostP50Ms: paced.postP50Ms,
        pacedPostP99Ms: paced.postP99Ms,
        pacedRowP50Ms: paced.rowP50Ms,
        pacedRowP99Ms: paced.rowP99Ms,
        pacedFailed: paced.failed,
      }
    },
  )
}

async function measureAnswering({ site, effort }: ScenarioContext, contender: Contender) {
  const running = await contender.start(site)
  try {
    const plan = {
      url: running.urls[0] ?? '',
      bearer: running.bearer,
      connections: effort.connections,
      traffic: { kind: 'events', batch: 1, label: 'ceiling' } as const,
    }
    await runLoad({ ...plan, seconds: effort.warmUpSeconds })
    const cpuBefore = await readProcessCpuMs(running)
    const report = await runLoad({ ...plan, seconds: effort.seconds })
    const cpu = { ...(await readProcessCpuMs(running)), generator: report.cpuMs }
    const perSecond = report.ok / report.seconds
    return {
      storedPerSecond: perSecond,
      acceptedPerSecond: perSecond,
      postP50Ms: report.p50Ms,
      postP99Ms: report.p99Ms,
      ...toUsageMetrics({ cpuMicros: microsPerEvent(cpu, cpuBefore, report.ok), rssBytes: {} }),
    }
  } finally {
    await running.stop()
  }
}

function compareWithGoals(rows: ResultRow[]): Goal[] {
  const metric = 'storedPerSecond'
  const overCommon = ratioOf(rows, 'tidings', metric, 'hono-bullmq')
  const ofEcho = ratioOf(rows, 'tidings', metric, 'hono-echo')
  const others = PEERS.filter((peer) => peer.name !== 'hono-bullmq').map((peer) => ({
    name: peer.name,
    ratio: ratioOf(rows, 'tidings', metric, peer.name),
  }))
  const toRow = medianOf(rows, 'tidings', 'pacedRowP99Ms')
  const rss = medianOf(rows, 'tidings', 'rssApiMb')
  return [
    {
      text: 'at least 5 times one job and one INSERT per event (hono-bullmq)',
      figure: `${overCommon.toFixed(2)} times`,
      met: overCommon >= 5,
    },
    {
      text: 'at least every other peer',
      figure: others.map(({ name, ratio }) => `${ratio.toFixed(2)} times ${name}`).join(', '),
      met: others.every(({ ratio }) => ratio >= 1),
    },
    {
      text: 'at least 60 % of Hono parsing and validating the same body',
      figure: `${(ofEcho * 100).toFixed(0)} %`,
      met: ofEcho >= 0.6,
    },
    { text: 'to row p99 under 250 ms at 70 % load', figure: `${toRow.toFixed(0)} ms`, met: toRow < 250 },
    { text: 'API RSS under 200 MB under load', figure: `${rss.toFixed(0)} MB`, met: rss < 200 },
  ]
}
