import { rm } from 'node:fs/promises'
import { errorMessage } from '@tidings/shared/errors'
import { createRandom } from './random.ts'
import { type Check, createStage, type Row } from './row.ts'
import { type Servers, startServers, type Topology } from './system.ts'

export interface MatrixOptions {
  rows: readonly Row[]
  seed: number
  short: boolean
  minutes: number
  topology?: Topology | undefined
  /** Logs and data of the run. Removed when every row passes. */
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

/** At most this many rows at once in the short form. Most of a row's time is a wait for BullMQ's lock to expire. */
const CONCURRENT_ROWS = 5

/**
 * Runs rows, each from the same seed, on servers that all of them share. The full matrix runs one row at a time; the
 * short form runs those at once that leave the servers alone.
 */
export async function runMatrix(options: MatrixOptions): Promise<RowOutcome[]> {
  const servers = await startServers(options.dir, options.topology)
  const outcomes = new Map<Row, RowOutcome>()
  const runAll = async (rows: Row[], atOnce: number) => {
    const waiting = [...rows]
    const runNext = async () => {
      for (let row = waiting.shift(); row; row = waiting.shift()) {
        options.report.rowStarts(row, options.rows.indexOf(row))
        const outcome = await runRow(row, servers, options)
        outcomes.set(row, outcome)
        options.report.rowEnds(outcome)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, runNext))
  }
  const isConcurrent = (row: Row) => options.short && row.concurrent === true
  try {
    // The last rows wait longest, so they start first.
    await runAll(options.rows.filter(isConcurrent).toReversed(), CONCURRENT_ROWS)
    await runAll(
      options.rows.filter((row) => !isConcurrent(row)),
      1,
    )
  } finally {
    await servers.stop()
  }
  const inOrder = options.rows.flatMap((row) => outcomes.get(row) ?? [])
  if (inOrder.every((outcome) => outcome.passed)) await rm(options.dir, { recursive: true, force: true })
  return inOrder
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
    // The row may have left a server frozen or stopped.
    servers.redis?.thaw()
    await Promise.allSettled([servers.redis?.start(), servers.postgres.start()])
  }
  const seconds = (performance.now() - startedAt) / 1000
  return { row, checks, passed: checks.every((check) => check.ok), seconds }
}
