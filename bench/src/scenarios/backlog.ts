import { waitFor } from '@tidings/stack/servers/wait-for'
import type { RunningContender } from '../contenders/contender.ts'
import { startTidings } from '../contenders/tidings.ts'
import { runLoad } from '../load/run-load.ts'
import type { Site } from '../site.ts'
import { readUsage } from '../usage.ts'
import { medianOf, runRounds } from './rounds.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const MEGABYTE = 1_048_576
const DRAIN_LIMIT_MS = 600_000
/** A round has a million events; memory per event hardly varies between rounds. */
const MAX_ROUNDS = 3

/** The cost of a long stop of the workers: memory in Redis, and the time to catch up. */
export const BACKLOG: Scenario = {
  name: 'backlog',
  title: 'Backlog',
  async run(context) {
    const { effort } = context
    const events = effort.quick ? 50_000 : 1_000_000
    const subject = (name: string, label: string, batch: number, count: number) => ({
      name,
      label: `Tidings, ${count.toLocaleString('en-US')} events ${label}`,
      kind: 'tidings' as const,
      measure: () => measureBacklog(context, batch, count),
    })
    const bounded = { ...context, effort: { ...effort, rounds: Math.min(effort.rounds, MAX_ROUNDS) } }
    const rows = await runRounds(bounded, 'backlog', [
      subject('single', 'as single posts', 1, events / 10),
      subject('batches', 'in batches of 100', 100, events),
    ])
    const bytes = Math.max(
      medianOf(rows, 'single', 'bytesPerEvent'),
      medianOf(rows, 'batches', 'bytesPerEvent'),
    )
    return {
      columns: [
        { metric: 'bytesPerEvent', title: 'Redis per event', unit: 'bytes' },
        { metric: 'drainSeconds', title: 'time to drain', unit: 'seconds' },
        { metric: 'drainedPerSecond', title: 'drained', unit: 'perSecond' },
        { metric: 'apiRssMb', title: 'RSS api, filling', unit: 'megabytes' },
        { metric: 'workerRssMb', title: 'RSS worker, draining', unit: 'megabytes' },
      ],
      rows,
      goals: [
        {
          text: 'at most 400 bytes of Redis per queued event',
          figure: `${bytes.toFixed(0)} bytes`,
          met: bytes <= 400,
        },
      ],
      notes: ['The worker is stopped while the queue fills, and started when it is full.'],
    }
  },
}

async function measureBacklog({ site, progress }: ScenarioContext, batch: number, events: number) {
  await site.clear()
  const before = await site.queue.usedBytes()
  const env = { QUEUE_MAX_DEPTH: String(events) }
  const api = await startTidings(site, { apis: 1, workers: 0, shards: 1, env })
  try {
    const report = await runLoad({
      url: api.urls[0] ?? '',
      bearer: api.bearer,
      connections: batch === 1 ? 64 : 16,
      seconds: DRAIN_LIMIT_MS / 1_000,
      amount: events / batch,
      traffic: { kind: 'events', batch, label: 'backlog' },
    })
    const queued = report.ok * batch
    if (queued < events) throw new Error(`Only ${queued} of ${events} events were accepted`)
    const bytesPerEvent = ((await site.queue.usedBytes()) - before) / queued
    const apiRssMb = await readRssMb(api, 'api')
    progress(`backlog:   ${queued} events queued, ${bytesPerEvent.toFixed(0)} bytes each; draining`)
    const drained = await measureDrain(site, queued)
    return { bytesPerEvent, ...drained, apiRssMb }
  } finally {
    await api.stop()
  }
}

async function measureDrain(site: Site, events: number) {
  const startedMs = Date.now()
  const worker = await startTidings(site, { apis: 0, workers: 1, shards: 1 })
  try {
    let workerRssMb = 0
    await waitFor(
      `${events} rows`,
      async () => {
        workerRssMb = Math.max(workerRssMb, await readRssMb(worker, 'worker'))
        const counted = await site.pool.query<{ rows: string }>(
          'SELECT count(*) AS rows FROM notification_status',
        )
        return Number(counted.rows[0]?.rows) >= events
      },
      { timeoutMs: DRAIN_LIMIT_MS, intervalMs: 500 },
    )
    const last = await site.pool.query<{ at: Date }>(
      'SELECT max(pg_xact_commit_timestamp(xmin)) AS at FROM notification_status',
    )
    const drainSeconds = ((last.rows[0]?.at.getTime() ?? Date.now()) - startedMs) / 1_000
    return { drainSeconds, drainedPerSecond: events / drainSeconds, workerRssMb }
  } finally {
    await worker.stop()
  }
}

async function readRssMb(contender: RunningContender, role: string): Promise<number> {
  const found = contender.processes.find((process) => process.role === role)
  const usage = found && (await readUsage(found.pid))
  return usage === undefined ? Number.NaN : usage.rssBytes / MEGABYTE
}
