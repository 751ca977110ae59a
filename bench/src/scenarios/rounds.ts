import type { Summary } from '../statistics.ts'
import { percentile, summarize } from '../statistics.ts'
import type { ResultRow, ScenarioContext } from './scenario.ts'

export interface Subject {
  name: string
  label: string
  kind: ResultRow['kind']
  /** Measures one round. Returns the value of each metric. */
  measure(round: number): Promise<Record<string, number>>
}

/**
 * Measures every subject once per round. Each round starts with another subject, so that other work on the machine
 * disturbs all of them alike.
 */
export async function runRounds(
  { effort, progress }: ScenarioContext,
  scenario: string,
  subjects: readonly Subject[],
): Promise<ResultRow[]> {
  const values = new Map<string, Record<string, number>[]>(subjects.map((subject) => [subject.name, []]))
  for (let round = 0; round < effort.rounds; round++) {
    const start = round % subjects.length
    for (const subject of [...subjects.slice(start), ...subjects.slice(0, start)]) {
      progress(`${scenario}: round ${round + 1} of ${effort.rounds}, ${subject.name}`)
      const measured = await subject.measure(round)
      values.get(subject.name)?.push(measured)
      const [first] = Object.entries(measured)
      if (first) progress(`${scenario}:   ${subject.name} ${first[0]} ${Math.round(first[1])}`)
    }
  }
  return subjects.map(({ name, label, kind }) => ({
    name,
    label,
    kind,
    metrics: summarizeMetrics(values.get(name) ?? []),
  }))
}

function summarizeMetrics(rounds: readonly Record<string, number>[]): Record<string, Summary> {
  const metrics = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(
    metrics.map((metric) => [metric, summarize(rounds.map((round) => round[metric] ?? Number.NaN))]),
  )
}

/**
 * Divides the metric of one subject by that of another in each round, and returns the median. A disturbance of a round
 * affects both. NaN when either was not measured.
 */
export function ratioOf(
  rows: readonly ResultRow[],
  name: string,
  metric: string,
  other: string,
  otherMetric = metric,
): number {
  const ours = valuesOf(rows, name, metric)
  const theirs = valuesOf(rows, other, otherMetric)
  return percentile(
    ours.map((value, round) => value / (theirs[round] ?? Number.NaN)),
    0.5,
  )
}

export function medianOf(rows: readonly ResultRow[], name: string, metric: string): number {
  return percentile(valuesOf(rows, name, metric), 0.5)
}

function valuesOf(rows: readonly ResultRow[], name: string, metric: string): number[] {
  return rows.find((row) => row.name === name)?.metrics[metric]?.values ?? []
}
