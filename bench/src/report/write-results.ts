import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Effort, ScenarioResult } from '../scenarios/scenario.ts'
import { POSTGRES_SETTINGS } from '../site.ts'
import { renderChart } from './chart.ts'
import { renderTables } from './table.ts'

interface Machine {
  cpu: string
  cores: number
  memoryGb: number
  kernel: string
  node: string
}

function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  }
}

/** Writes `<name>.json`, `<name>.md` and `<name>.svg`. Returns the Markdown. */
export async function writeResults(
  dir: string,
  name: string,
  results: readonly ScenarioResult[],
  effort: Effort,
): Promise<string> {
  const machine = describeMachine()
  const measuredAt = new Date().toISOString()
  const settings = { postgres: POSTGRES_SETTINGS, redis: 'appendonly yes, appendfsync always, noeviction' }
  const caption = `Median of ${effort.rounds} interleaved rounds; the line spans slowest to fastest. ${machine.cores} cores, Node ${machine.node}, ${measuredAt.slice(0, 10)}.`
  const markdown = [
    `# Benchmark, ${measuredAt}`,
    '',
    `${machine.cores} × ${machine.cpu}, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}. Load generator, servers, PostgreSQL and Redis share the machine. Medians of ${effort.rounds} interleaved rounds of ${effort.seconds} s.`,
    '',
    renderTables(results),
  ].join('\n')
  await mkdir(dir, { recursive: true })
  await writeFile(
    join(dir, `${name}.json`),
    `${JSON.stringify({ measuredAt, machine, settings, effort, results }, undefined, 2)}\n`,
  )
  await writeFile(join(dir, `${name}.md`), markdown)
  await writeFile(join(dir, `${name}.svg`), renderChart(results, caption))
  return markdown
}
