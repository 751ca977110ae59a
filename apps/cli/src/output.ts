import { styleText } from 'node:util'
import { table } from 'table'
import { usageError } from './exit-codes.ts'
import type { Terminal } from './terminal.ts'

export const OUTPUT_FORMATS = ['table', 'json', 'ndjson', 'id'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** Where output goes, and in which form: the part of a command's context that this needs. */
export interface Output {
  terminal: Terminal
  globals: { output: OutputFormat | undefined }
}

export interface Column<Item> {
  title: string
  /** For people, in a table on a terminal. */
  cell(item: Item): string
  /** For scripts, in tab-separated lines; the cell's text without it. */
  raw?(item: Item): string
  align?: 'left' | 'right'
  /** Shortened to this many columns at most, on a terminal only. */
  maxWidth?: number
  style?: Parameters<typeof styleText>[0]
}

export interface ListView<Item> {
  columns: readonly Column<Item>[]
  json(item: Item): unknown
  /** Without it, `-o id` is a usage error. */
  id?(item: Item): string
}

/** Writes items in the format asked for: on a terminal a table, in a pipe tab-separated lines. */
export async function writeList<Item>(
  context: Output,
  items: readonly Item[],
  view: ListView<Item>,
): Promise<void> {
  const { terminal, globals } = context
  const lines = (texts: readonly string[]) => texts.map((text) => `${text}\n`).join('')
  switch (globals.output) {
    case 'json':
      return terminal.write(`${JSON.stringify(items.map(view.json), null, terminal.width ? 2 : 0)}\n`)
    case 'ndjson':
      return terminal.write(lines(items.map((item) => JSON.stringify(view.json(item)))))
    case 'id': {
      const { id } = view
      if (id === undefined) throw usageError('There are no ids here: use -o table, json or ndjson.')
      return terminal.write(lines(items.map(id)))
    }
    default:
      return terminal.write(
        terminal.width === undefined
          ? lines(items.map((item) => toTsv(item, view.columns)))
          : items.length === 0
            ? ''
            : toTable(items, view.columns, terminal.width, terminal.colors.stdout),
      )
  }
}

/** Writes one object: JSON where that is asked for, else what `text` makes of it. */
export async function writeItem(context: Output, item: unknown, text: string): Promise<void> {
  const { terminal, globals } = context
  if (globals.output === 'json')
    return terminal.write(`${JSON.stringify(item, null, terminal.width ? 2 : 0)}\n`)
  if (globals.output === 'ndjson') return terminal.write(`${JSON.stringify(item)}\n`)
  return terminal.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** A field must not break its line, whatever a producer sent. */
const toTsv = <Item>(item: Item, columns: readonly Column<Item>[]) =>
  columns.map((column) => printable((column.raw ?? column.cell)(item))).join('\t')

/** Text without control characters: an event's text could move the cursor or clear the screen. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
}

/** An aligned table with a heading, fitted into `width` columns. */
export function toTable<Item>(
  items: readonly Item[],
  columns: readonly Column<Item>[],
  width: number,
  colors: boolean,
): string {
  const cells = items.map((item) => columns.map((column) => printable(column.cell(item))))
  const widths = fitWidths(columns, cells, width)
  const paint = (style: Column<Item>['style'], text: string) =>
    colors && style !== undefined ? styleText(style, text, { validateStream: false }) : text
  const body = cells.map((row) =>
    row.map((cell, index) => paint(columns[index]?.style, shorten(cell, widths[index] ?? cell.length))),
  )
  return table([columns.map((column) => paint('bold', column.title)), ...body], {
    border: BORDER,
    drawHorizontalLine: () => false,
    drawVerticalLine: (index) => index > 0 && index < columns.length,
    columnDefault: { paddingLeft: 0, paddingRight: 0 },
    columns: columns.map((column) => ({ alignment: column.align ?? 'left' })),
  })
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

const BORDER = { bodyJoin: '  ', headerJoin: '  ', joinJoin: '  ' }

/** Columns as wide as their content, the widest ones shortened until the table fits the terminal. */
function fitWidths<Item>(
  columns: readonly Column<Item>[],
  cells: readonly string[][],
  width: number,
): number[] {
  const widths = columns.map((column, index) => {
    const widest = Math.max(column.title.length, ...cells.map((row) => row[index]?.length ?? 0))
    return Math.min(widest, column.maxWidth ?? widest)
  })
  const gaps = 2 * (columns.length - 1)
  for (;;) {
    const excess = widths.reduce((sum, w) => sum + w, gaps) - width
    const widest = Math.max(...widths)
    if (excess <= 0 || widest <= 8) return widths
    const index = widths.indexOf(widest)
    widths[index] = widest - 1
  }
}

const shorten = (text: string, width: number) =>
  text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text
