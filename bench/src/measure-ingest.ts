import { waitFor } from '@tidings/stack/servers/wait-for'
import type { RunningContender } from './contenders/contender.ts'
import type { HookTraffic, LoadReport } from './load/protocol.ts'
import { runLoad } from './load/run-load.ts'
import type { Site } from './site.ts'
import { percentile } from './statistics.ts'
import { readTreeCpuMs, readUsage } from './usage.ts'

const DRAIN_LIMIT_MS = 120_000
/** Rows still arrive after the last counted answer: the server may have accepted requests that were cut off. */
const SETTLED_MS = 600

export interface IngestPlan {
  connections: number
  seconds: number
  /** Events per request. */
  batch: number
  /** Events of a provider, posted to its hook. Without it, to the batch route. */
  hook?: Pick<HookTraffic, 'path' | 'privateKey'>
  /** A fixed rate, instead of as fast as the answers come. */
  perSecond?: number
  label: string
}

export interface IngestResult {
  /** Events acknowledged, over the time of the load. */
  acceptedPerSecond: number
  /** Rows in the table, over the time from the first request to the commit of the last row. */
  storedPerSecond: number
  failed: number
  postP50Ms: number
  postP99Ms: number
  /** From `received_at`, set when the server takes the request, to the commit of the row. */
  rowP50Ms: number
  rowP99Ms: number
  /** CPU time per event and process, in microseconds. Without /proc only the generator's. */
  cpuMicros: Record<string, number>
  rssBytes: Record<string, number>
}

/**
 * Loads a contender, waits until it has stored every acknowledged event, and counts the rows.
 *
 * @throws when acknowledged events are missing, or are stored more than once.
 */
export async function measureIngest(
  site: Site,
  contender: RunningContender,
  plan: IngestPlan,
): Promise<IngestResult> {
  const before = await countRows(site, contender)
  const cpuBefore = await readCpuMs(site, contender)
  const reports = await Promise.all(
    contender.urls.map((url, index) =>
      runLoad({
        url,
        bearer: contender.bearer,
        connections: Math.ceil(plan.connections / contender.urls.length),
        seconds: plan.seconds,
        traffic: {
          ...(plan.hook === undefined ? { kind: 'events' } : { kind: 'hook', ...plan.hook }),
          batch: plan.batch,
          label: `${plan.label}-${index}`,
        },
        ...(plan.perSecond === undefined ? {} : { perSecond: plan.perSecond / contender.urls.length }),
      }),
    ),
  )
  const report = mergeReports(reports)
  const rssBytes = await readRss(contender)
  const accepted = report.ok * plan.batch
  const rows = (await waitForRows(site, contender, before + accepted)) - before
  const cutOff = plan.connections * plan.batch
  if (rows > accepted + report.failed * plan.batch + cutOff) {
    throw new Error(`${rows} rows of ${accepted} acknowledged events: some were stored more than once`)
  }
  const cpu = { generator: report.cpuMs, ...(await readCpuMs(site, contender)) }
  const timing = await readTiming(site, contender, new Date(report.startedAtMs))
  return {
    acceptedPerSecond: accepted / report.seconds,
    storedPerSecond: (rows * 1_000) / (timing.lastCommitMs - report.startedAtMs),
    failed: report.failed,
    postP50Ms: report.p50Ms,
    postP99Ms: report.p99Ms,
    rowP50Ms: timing.p50,
    rowP99Ms: timing.p99,
    cpuMicros: microsPerEvent(cpu, cpuBefore, rows),
    rssBytes,
  }
}

/** Combines the reports of load processes that ran at the same time: the median of the p50, the highest p99. */
function mergeReports(reports: readonly LoadReport[]): LoadReport {
  return {
    startedAtMs: Math.min(...reports.map((report) => report.startedAtMs)),
    seconds: Math.max(...reports.map((report) => report.seconds)),
    ok: reports.reduce((sum, report) => sum + report.ok, 0),
    failed: reports.reduce((sum, report) => sum + report.failed, 0),
    p50Ms: percentile(
      reports.map((report) => report.p50Ms),
      0.5,
    ),
    p99Ms: Math.max(...reports.map((report) => report.p99Ms)),
    cpuMs: reports.reduce((sum, report) => sum + report.cpuMs, 0),
  }
}

async function countRows(site: Site, { table }: RunningContender): Promise<number> {
  const counted = await site.pool.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${table}`)
  return Number(counted.rows[0]?.rows)
}

/** Waits until all acknowledged rows exist and no more arrive. */
async function waitForRows(site: Site, contender: RunningContender, expected: number): Promise<number> {
  let last = -1
  let unchangedSinceMs = 0
  return waitFor(
    `${expected} rows`,
    async () => {
      const rows = await countRows(site, contender)
      if (rows !== last) {
        last = rows
        unchangedSinceMs = performance.now()
      }
      return rows >= expected && performance.now() - unchangedSinceMs >= SETTLED_MS ? rows : undefined
    },
    { timeoutMs: DRAIN_LIMIT_MS, intervalMs: 100, explain: () => `the table has ${last} rows` },
  )
}

async function readTiming(site: Site, { table }: RunningContender, since: Date) {
  const result = await site.pool.query<{ last_commit: Date; p50: number; p99: number }>(
    `WITH row AS (
       SELECT pg_xact_commit_timestamp(xmin) AS committed, received_at FROM ${table}
       WHERE received_at >= $1
     )
     SELECT max(committed) AS last_commit,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM committed - received_at) * 1000) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM committed - received_at) * 1000) AS p99
     FROM row`,
    [since],
  )
  const row = result.rows[0]
  if (row === undefined) throw new Error('No row was stored')
  return { lastCommitMs: row.last_commit.getTime(), p50: row.p50, p99: row.p99 }
}

/** Microseconds per event, from two readings in milliseconds. */
export function microsPerEvent(
  cpu: Record<string, number>,
  cpuBefore: Record<string, number>,
  events: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(cpu).map(([role, ms]) => [role, ((ms - (cpuBefore[role] ?? 0)) * 1_000) / events]),
  )
}

/** Processor time that the contender's processes have used so far, in milliseconds, by role. */
export async function readProcessCpuMs(contender: RunningContender): Promise<Record<string, number>> {
  const cpu: Record<string, number> = {}
  for (const { role, pid } of contender.processes) {
    const usage = await readUsage(pid)
    if (usage) cpu[role] = (cpu[role] ?? 0) + usage.cpuMs
  }
  return cpu
}

/** The same, with that of Redis and PostgreSQL. */
async function readCpuMs(site: Site, contender: RunningContender): Promise<Record<string, number>> {
  const cpu = await readProcessCpuMs(contender)
  for (const pid of site.queue.pids) {
    const node = await readUsage(pid)
    if (node) cpu.redis = (cpu.redis ?? 0) + node.cpuMs
  }
  const postgres = await readTreeCpuMs(site.postgres.pid)
  if (postgres !== undefined) cpu.postgres = postgres
  return cpu
}

async function readRss(contender: RunningContender): Promise<Record<string, number>> {
  const rss: Record<string, number> = {}
  for (const { role, pid } of contender.processes) {
    const usage = await readUsage(pid)
    if (usage) rss[role] = Math.max(rss[role] ?? 0, usage.rssBytes)
  }
  return rss
}
