import type { ResultRow, ScenarioResult } from '../scenarios/scenario.ts'
import { formatValue } from './format.ts'

const WIDTH = 920
const LABEL_WIDTH = 350
const VALUE_WIDTH = 110
const BAR_HEIGHT = 20
const ROW_HEIGHT = 28
const TITLE_HEIGHT = 44
const COLORS = { tidings: '#0969da', peer: '#8c959f', ceiling: '#d0d7de' } as const

/** SVG bars of each scenario's first column: the median, and a line from the slowest to the fastest round. */
export function renderChart(results: readonly ScenarioResult[], caption: string): string {
  let y = 16
  const parts: string[] = []
  for (const result of results) {
    parts.push(renderScenario(result, y))
    y += TITLE_HEIGHT + result.rows.length * ROW_HEIGHT + 12
  }
  parts.push(text(16, y + 16, caption, 'font-size="11" fill="#57606a"'))
  const height = y + 32
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function renderScenario(result: ScenarioResult, top: number): string {
  const column = result.columns[0]
  if (column === undefined) return ''
  const summaryOf = (row: ResultRow) => row.metrics[column.metric]
  const highest = Math.max(...result.rows.map((row) => summaryOf(row)?.max ?? 0))
  const scale = (value: number) => (value / highest) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH - 32)
  const title = text(
    16,
    top + 20,
    `${result.title}: ${column.title}`,
    'font-weight="600" font-size="15" fill="#1f2328"',
  )
  const rows = result.rows.map((row, index) => {
    const y = top + TITLE_HEIGHT + index * ROW_HEIGHT
    const summary = summaryOf(row)
    const middle = y + BAR_HEIGHT / 2
    const label = text(
      LABEL_WIDTH,
      middle + 5,
      row.label,
      `text-anchor="end" fill="#1f2328"${row.kind === 'tidings' ? ' font-weight="600"' : ''}`,
    )
    if (summary === undefined) return label
    const x = LABEL_WIDTH + 12
    return [
      label,
      `<rect x="${x}" y="${y}" width="${scale(summary.median).toFixed(1)}" height="${BAR_HEIGHT}" rx="2" fill="${COLORS[row.kind]}"/>`,
      `<path d="M${(x + scale(summary.min)).toFixed(1)} ${middle}H${(x + scale(summary.max)).toFixed(1)}" stroke="#1f2328" stroke-width="1.5"/>`,
      text(
        x + scale(summary.max) + 8,
        middle + 5,
        formatValue(summary.median, column.unit),
        'fill="#1f2328"',
      ),
    ].join('\n')
  })
  return [title, ...rows].join('\n')
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escapeXml(content)}</text>`
}

function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
