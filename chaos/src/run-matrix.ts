import { rm } from 'node:fs/promises'
import { errorMessage } from '@tidings/shared/errors'
import { createRandom } from './random.ts'
import { type Check, createStage, type Row } from './row.ts'
import { type Servers, startServers } from './world.ts'

export interface MatrixOptions {
  rows: readonly Row[]
  seed: number
  short: boolean
  minutes: number
  /** Logs and data of the run; removed when every row passes. */
  dir: string
  report: MatrixReport
}

export interface MatrixReport {
  rowStarts(row: Row, index: number): void
  rowProgress(row: Row, text: string): void
  rowEnds(outcome: RowOutcome): void
}

export interface RowOutcome {
  row: Row
  checks: Check[]
  passed: boolean
  seconds: number
}

/** Runs rows one after the other on servers of its own, each row from the same seed. */
export async function runMatrix(options: MatrixOptions): Promise<RowOutcome[]> {
  const servers = await startServers(options.dir)
  const outcomes: RowOutcome[] = []
  try {
    for (const [index, row] of options.rows.entries()) {
      options.report.rowStarts(row, index)
      const outcome = await runRow(row, servers, options)
      outcomes.push(outcome)
      options.report.rowEnds(outcome)
    }
  } finally {
    await servers.stop()
  }
  if (outcomes.every((outcome) => outcome.passed)) await rm(options.dir, { recursive: true, force: true })
  return outcomes
}

async function runRow(row: Row, servers: Servers, options: MatrixOptions): Promise<RowOutcome> {
  const startedAt = performance.now()
  const stage = createStage(servers, row, {
    random: createRandom(options.seed),
    short: options.short,
    minutes: options.minutes,
    progress: (text) => options.report.rowProgress(row, text),
  })
  let checks: Check[]
  try {
    checks = await row.run(stage)
  } catch (error) {
    checks = [{ must: 'run to its end', ok: false, seen: errorMessage(error) }]
    // The next row finds the servers as they should be.
    servers.redis?.thaw()
    await Promise.allSettled([servers.redis?.start(), servers.postgres.start()])
  }
  const seconds = (performance.now() - startedAt) / 1000
  return { row, checks, passed: checks.every((check) => check.ok), seconds }
}
