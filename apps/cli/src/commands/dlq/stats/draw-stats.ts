import type { DeadLetterStats } from '@tidings/queue/dead-letters/stats'
import sparkly from 'sparkly'
import { drawBar } from '../../../terminal/bar.ts'
import { formatAge, formatCount } from '../../../terminal/format.ts'
import { createPaint, type Paint, printable } from '../../../terminal/table.ts'

interface DrawOptions {
  width: number
  colors: boolean
  /** Depths of a watch so far, oldest first. */
  depths?: readonly number[]
}

const LABEL_COLUMNS = 14

/** Draws the statistics for a terminal. */
export function drawStats(stats: DeadLetterStats, { width, colors, depths }: DrawOptions): string {
  const paint = createPaint(colors)
  const age = (iso: string | undefined) => (iso === undefined ? '-' : `${formatAge(iso)} ago`)
  /** A sparkline of the latest values that fit. */
  const spark = (values: readonly number[], unit: (shown: number) => string) => {
    const room = Math.max(1, width - LABEL_COLUMNS - ' since start'.length)
    const shown = values.slice(-room)
    return `${paint('cyan', sparkly(shown, { minimum: 0 }))} ${paint('dim', unit(shown.length))}`
  }
  const { queue, inflow } = stats
  const depthStyle = stats.depth === 0 ? 'green' : 'red'
  const lines = [
    `${paint('bold', 'Dead letters')}  ${paint([depthStyle, 'bold'], formatCount(stats.depth))}   oldest ${age(stats.oldest)}   newest ${age(stats.newest)}`,
    `${paint('bold', 'Inflow')}        ${formatCount(inflow.last_minute)} in the last minute, ${formatCount(inflow.last_hour)} in the last hour`,
    `${' '.repeat(LABEL_COLUMNS)}${spark(stats.inflow_per_minute, (count) => `${count} min`)}`,
  ]
  if (depths && depths.length > 1)
    lines.push(
      `${paint('bold', 'Depth')}         ${spark(depths, (count) => (count < depths.length ? 'until now' : 'since start'))}`,
    )
  if (stats.exhausted > 0)
    lines.push(
      `${paint('bold', 'Exhausted')}     ${formatCount(stats.exhausted)} redriven too often: only --force takes them`,
    )
  lines.push(
    '',
    ...drawBars('By reason', stats.by_reason, stats.depth, width, paint),
    '',
    ...drawBars('By type', stats.by_type, stats.depth, width, paint),
    '',
    `${paint('bold', 'Main queue')}    ${formatCount(queue.waiting)} waiting, ${formatCount(queue.active)} active, ${formatCount(queue.delayed)} delayed, ${formatCount(queue.failed)} failed` +
      (queue.oldestWaitingAt ? `, oldest ${age(queue.oldestWaitingAt.toISOString())}` : ''),
  )
  return lines.join('\n')
}

function drawBars(
  title: string,
  counts: Readonly<Record<string, number>>,
  total: number,
  width: number,
  paint: Paint,
): string[] {
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a)
  const room = Math.max(8, Math.min(30, width - 36))
  return [
    paint('bold', title),
    ...rows.map(([name, count]) => {
      const bar = drawBar(count / Math.max(1, total), room)
      return `  ${printable(name).padEnd(18)} ${formatCount(count).padStart(9)}  ${paint('cyan', bar)}`
    }),
  ]
}

/** Names and values, tab-separated, for scripts. */
export function toStatsLines(stats: DeadLetterStats): string {
  const rows: [string, string | number][] = [
    ['depth', stats.depth],
    ['oldest', stats.oldest ?? '-'],
    ['newest', stats.newest ?? '-'],
    ['inflow_last_minute', stats.inflow.last_minute],
    ['inflow_last_hour', stats.inflow.last_hour],
    ['exhausted', stats.exhausted],
    ...Object.entries(stats.by_reason).map(([name, count]): [string, number] => [`reason.${name}`, count]),
    ...Object.entries(stats.by_type).map(([name, count]): [string, number] => [`type.${name}`, count]),
    ['queue.waiting', stats.queue.waiting],
    ['queue.active', stats.queue.active],
    ['queue.delayed', stats.queue.delayed],
    ['queue.failed', stats.queue.failed],
  ]
  return rows.map(([name, value]) => `${printable(name)}\t${printable(String(value))}\n`).join('')
}
