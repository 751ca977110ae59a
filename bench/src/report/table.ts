import type { ScenarioResult } from '../scenarios/scenario.ts'
import { formatValue } from './format.ts'

/** Renders the results as Markdown: medians, and the spread of the first column. */
export function renderTables(results: readonly ScenarioResult[]): string {
  return results.map(renderScenario).join('\n')
}

function renderScenario(result: ScenarioResult): string {
  // Leave out columns without any value.
  const columns = result.columns.filter(({ metric }) =>
    result.rows.some((row) => Number.isFinite(row.metrics[metric]?.median)),
  )
  const [first] = columns
  const header = ['', ...columns.map((column) => column.title), 'min … max']
  const rows = result.rows.map((row) => [
    row.label,
    ...columns.map(({ metric, unit }) => formatValue(row.metrics[metric]?.median ?? Number.NaN, unit)),
    first === undefined ? '' : spreadOf(row.metrics[first.metric], first.unit),
  ])
  return [
    `## ${result.title}`,
    '',
    ...alignTable([header, ...rows]),
    '',
    ...result.notes.flatMap((note) => [note, '']),
    ...result.goals.map((goal) => `- ${goal.met ? 'met' : 'MISSED'}: ${goal.text}: ${goal.figure}`),
    '',
  ].join('\n')
}

function spreadOf(
  summary: { min: number; max: number } | undefined,
  unit: Parameters<typeof formatValue>[1],
): string {
  return summary === undefined ? '–' : `${formatValue(summary.min, unit)} … ${formatValue(summary.max, unit)}`
}

function alignTable(cells: readonly string[][]): string[] {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  const [header = [], ...rows] = cells
  return [line(header), rule, ...rows.map(line)]
}
