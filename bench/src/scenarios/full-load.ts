import type { Contender, RunningContender } from '../contenders/contender.ts'
import type { IngestPlan, IngestResult } from '../measure-ingest.ts'
import { measureIngest } from '../measure-ingest.ts'
import type { Site } from '../site.ts'
import type { Column, ScenarioContext } from './scenario.ts'

const MEGABYTE = 1_048_576

export interface FullLoadPlan
  extends Pick<IngestPlan, 'connections' | 'batch' | 'seconds' | 'hook' | 'perSecond'> {
  warmUpSeconds: number
  round: number
}

/** A result, with the processes and stores that it was measured on. */
export interface FullLoad {
  full: IngestResult
  site: Site
  running: RunningContender
}

/**
 * Starts a contender on empty stores, warms it up, and measures it under full load, or at the rate of the plan.
 *
 * @param toMetrics turns the result into metrics. The contender still runs, so it may measure more.
 */
export async function measureFullLoad(
  context: ScenarioContext,
  contender: Pick<Contender, 'site' | 'start'>,
  { warmUpSeconds, round, ...plan }: FullLoadPlan,
  toMetrics: (load: FullLoad) => Record<string, number> | Promise<Record<string, number>>,
): Promise<Record<string, number>> {
  const site = contender.site ?? context.site
  await site.clear()
  const running = await contender.start(site)
  try {
    await measureIngest(site, running, { ...plan, seconds: warmUpSeconds, label: `warm-${round}` })
    await site.pool.query(`TRUNCATE ${running.table}`)
    const full = await measureIngest(site, running, { ...plan, label: `full-${round}` })
    return await toMetrics({ full, site, running })
  } finally {
    await running.stop()
  }
}

export function toIngestMetrics(result: IngestResult): Record<string, number> {
  return {
    storedPerSecond: result.storedPerSecond,
    acceptedPerSecond: result.acceptedPerSecond,
    postP50Ms: result.postP50Ms,
    postP99Ms: result.postP99Ms,
    rowP50Ms: result.rowP50Ms,
    rowP99Ms: result.rowP99Ms,
    failed: result.failed,
    ...toUsageMetrics(result),
  }
}

/** Processor time and memory of each process of the contender. */
export function toUsageMetrics(result: Pick<IngestResult, 'cpuMicros' | 'rssBytes'>): Record<string, number> {
  const metrics: Record<string, number> = {}
  for (const [role, micros] of Object.entries(result.cpuMicros)) {
    metrics[`cpu${capitalize(role)}Micros`] = micros
  }
  for (const [role, bytes] of Object.entries(result.rssBytes)) {
    metrics[`rss${capitalize(role)}Mb`] = bytes / MEGABYTE
  }
  return metrics
}

const capitalize = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

export const RATE_COLUMNS: readonly Column[] = [
  { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
  { metric: 'acceptedPerSecond', title: 'accepted', unit: 'perSecond' },
  { metric: 'postP50Ms', title: 'POST p50', unit: 'ms' },
  { metric: 'postP99Ms', title: 'POST p99', unit: 'ms' },
]

export const USAGE_COLUMNS: readonly Column[] = [
  { metric: 'cpuApiMicros', title: 'CPU api', unit: 'micros' },
  { metric: 'cpuWorkerMicros', title: 'CPU worker', unit: 'micros' },
  { metric: 'cpuRedisMicros', title: 'CPU redis', unit: 'micros' },
  { metric: 'cpuPostgresMicros', title: 'CPU postgres', unit: 'micros' },
  { metric: 'cpuGeneratorMicros', title: 'CPU generator', unit: 'micros' },
  { metric: 'rssApiMb', title: 'RSS api', unit: 'megabytes' },
  { metric: 'rssWorkerMb', title: 'RSS worker', unit: 'megabytes' },
]
