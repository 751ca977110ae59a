import type { Contender } from '../contenders/contender.ts'
import { HTTP_CEILINGS, PEERS } from '../contenders/peers.ts'
import { TIDINGS, tidingsAgainst } from '../contenders/tidings.ts'
import { runLoad } from '../load/run-load.ts'
import type { IngestResult } from '../measure-ingest.ts'
import { measureIngest, microsPerEvent, readRoles } from '../measure-ingest.ts'
import { medianOf, ratioOf, runRounds } from './rounds.ts'
import type { Column, Goal, ResultRow, Scenario, ScenarioContext } from './scenario.ts'

const PACED_SHARE = 0.7
const MEGABYTE = 1_048_576

/** Single events: the rate at which they are accepted and stored, then latencies at 70 % of that rate. */
export const INGEST_SINGLE: Scenario = {
  name: 'ingest-single',
  title: 'Ingest, single events',
  async run(context) {
    const contenders = [TIDINGS, ...tidingsAgainst(context), ...PEERS, ...HTTP_CEILINGS]
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
      name: 'ingest-single',
      title: 'Ingest, single events',
      columns: COLUMNS,
      rows,
      goals: judge(rows),
      notes: [
        `${context.effort.connections} connections, one event per POST. Rate: rows divided by the time from the first request to the commit of the last row; for a ceiling, answers per second.`,
        `The latencies marked 70 % are at an even rate of ${PACED_SHARE * 100} % of the round's own rate. "To row" runs from the server taking the request to the commit of its row, so it holds the POST as well.`,
        'CPU is processor time per event of that process. The load generator has its own, out of the same cores.',
      ],
    }
  },
}

const COLUMNS: Column[] = [
  { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
  { metric: 'acceptedPerSecond', title: 'accepted', unit: 'perSecond' },
  { metric: 'postP50Ms', title: 'POST p50', unit: 'ms' },
  { metric: 'postP99Ms', title: 'POST p99', unit: 'ms' },
  { metric: 'pacedPostP99Ms', title: 'POST p99, 70 %', unit: 'ms' },
  { metric: 'pacedRowP50Ms', title: 'to row p50, 70 %', unit: 'ms' },
  { metric: 'pacedRowP99Ms', title: 'to row p99, 70 %', unit: 'ms' },
  { metric: 'cpuApiMicros', title: 'CPU api', unit: 'micros' },
  { metric: 'cpuWorkerMicros', title: 'CPU worker', unit: 'micros' },
  { metric: 'cpuRedisMicros', title: 'CPU redis', unit: 'micros' },
  { metric: 'cpuPostgresMicros', title: 'CPU postgres', unit: 'micros' },
  { metric: 'cpuGeneratorMicros', title: 'CPU generator', unit: 'micros' },
  { metric: 'rssApiMb', title: 'RSS api', unit: 'megabytes' },
  { metric: 'rssWorkerMb', title: 'RSS worker', unit: 'megabytes' },
]

async function measureStoring({ site, effort }: ScenarioContext, contender: Contender, round: number) {
  await site.clear()
  const running = await contender.start(site)
  try {
    const plan = { connections: effort.connections, batch: 1 }
    await measureIngest(site, running, { ...plan, seconds: effort.warmUpSeconds, label: `warm-${round}` })
    await site.pool.query('TRUNCATE notification_status')
    const full = await measureIngest(site, running, {
      ...plan,
      seconds: effort.seconds,
      label: `full-${round}`,
    })
    const paced = await measureIngest(site, running, {
      ...plan,
      seconds: effort.seconds,
      label: `paced-${round}`,
      perSecond: full.storedPerSecond * PACED_SHARE,
    })
    return { ...metricsOf(full), ...pacedMetricsOf(paced) }
  } finally {
    await running.stop()
  }
}

function metricsOf(result: IngestResult): Record<string, number> {
  return {
    storedPerSecond: result.storedPerSecond,
    acceptedPerSecond: result.acceptedPerSecond,
    postP50Ms: result.postP50Ms,
    postP99Ms: result.postP99Ms,
    rowP50Ms: result.rowP50Ms,
    rowP99Ms: result.rowP99Ms,
    failed: result.failed,
    ...usageMetricsOf(result),
  }
}

function pacedMetricsOf(result: IngestResult): Record<string, number> {
  return {
    pacedPostP50Ms: result.postP50Ms,
    pacedPostP99Ms: result.postP99Ms,
    pacedRowP50Ms: result.rowP50Ms,
    pacedRowP99Ms: result.rowP99Ms,
    pacedFailed: result.failed,
  }
}

/** Processor time and memory by process, for those that a contender has. */
export function usageMetricsOf(result: Pick<IngestResult, 'cpuMicros' | 'rssBytes'>): Record<string, number> {
  const metrics: Record<string, number> = {}
  for (const [role, micros] of Object.entries(result.cpuMicros))
    metrics[`cpu${capitalize(role)}Micros`] = micros
  for (const [role, bytes] of Object.entries(result.rssBytes)) {
    metrics[`rss${capitalize(role)}Mb`] = bytes / MEGABYTE
  }
  return metrics
}

const capitalize = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

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
    const sinceCpu = await readRoles(running)
    const report = await runLoad({ ...plan, seconds: effort.seconds })
    const cpu = { ...(await readRoles(running)), generator: report.cpuMs }
    const perSecond = report.ok / report.seconds
    return {
      storedPerSecond: perSecond,
      acceptedPerSecond: perSecond,
      postP50Ms: report.p50Ms,
      postP99Ms: report.p99Ms,
      ...usageMetricsOf({ cpuMicros: microsPerEvent(cpu, sinceCpu, report.ok), rssBytes: {} }),
    }
  } finally {
    await running.stop()
  }
}

function judge(rows: ResultRow[]): Goal[] {
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
