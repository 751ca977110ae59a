import { expect, it } from 'vitest'
import type { ScenarioResult } from '../scenarios/scenario.ts'
import { summarize } from '../statistics.ts'
import { renderChart } from './chart.ts'
import { renderTables } from './table.ts'

const result: ScenarioResult = {
  name: 'ingest',
  title: 'Ingest',
  columns: [
    { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
    { metric: 'absent', title: 'unused', unit: 'ms' },
  ],
  rows: [
    {
      name: 'tidings',
      label: 'Tidings & <co>',
      kind: 'tidings',
      metrics: { storedPerSecond: summarize([900, 1_000, 1_200]) },
    },
    { name: 'other', label: 'Other', kind: 'peer', metrics: {} },
  ],
  goals: [{ text: 'at least 2 times Other', figure: '1.5 times', met: false }],
  notes: ['Read with care.'],
}

it('shows medians, spread, goals and notes, and leaves out a column without values', () => {
  const markdown = renderTables([result])
  expect(markdown).toContain('| Tidings & <co> | 1,000/s | 900/s … 1,200/s |')
  expect(markdown).toContain('- MISSED: at least 2 times Other: 1.5 times')
  expect(markdown).toContain('Read with care.')
  expect(markdown).not.toContain('unused')
})

it('draws a bar for each measured median and escapes text for XML', () => {
  const svg = renderChart([result], 'caption')
  expect(svg).toContain('Tidings &amp; &lt;co&gt;')
  expect(svg.match(/<rect [^>]*rx="2"/g)).toHaveLength(1)
  expect(svg).toContain('>1,000/s<')
})
