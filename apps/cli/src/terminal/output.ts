import { styleText } from 'node:util'
import { table } from 'table'
import { usageError } from '../exit-codes.ts'
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
  /** Never shortened: an id that is cut off cannot be typed. */
  whole?: true
  /** Goes on in the next line instead of being shortened. */
  wraps?: true
  /** On a terminal too narrow for all columns this one is left out, those with the smallest number first. */
  spare?: number
  style?: Parameters<typeof styleText>[0]
}

export interface ListView<Item> {
  columns: readonly Column<Item>[]
  json(item: Item): unknown
  /** Without it, `-o id` is a usage error. */
  id?(item: Item): string
}

/** A list on its way out: what is large is written as it comes. */
export interface OpenList<Item> {
  write(items: readonly Item[]): Promise<void>
  end(): Promise<void>
}

/** Writes items in the format asked for: on a terminal a table, in a pipe tab-separated lines. */
export function openList<Item>({ terminal, globals }: Output, view: ListView<Item>): OpenList<Item> {
  const inLines = (toLine: (item: Item) => string): OpenList<Item> => ({
    write: (items) => terminal.write(items.map((item) => `${toLine(item)}\n`).join('')),
    end: async () => undefined,
  })
  switch (globals.output) {
    case 'json':
      return openArray(terminal, view.json)
    case 'ndjson':
      return inLines((item) => JSON.stringify(view.json(item)))
    case 'id': {
      const { id } = view
      if (id === undefined) throw usageError('There are no ids here: use -o table, json or ndjson.')
      return inLines(id)
    }
    default:
      return terminal.width === undefined
        ? inLines((item) => toTsv(item, view.columns))
        : openTable(terminal, terminal.width, view.columns)
  }
}

function openArray<Item>(terminal: Terminal, toJson: (item: Item) => unknown): OpenList<Item> {
  const [indent, lineEnd] = terminal.width === undefined ? [0, ''] : [2, '\n']
  let isEmpty = true
  return {
    async write(items) {
      if (items.length === 0) return
      // The members of an array as JSON.stringify sets them, without its brackets.
      const members = JSON.stringify(items.map(toJson), null, indent).slice(1, lineEnd ? -2 : -1)
      await terminal.write(`${isEmpty ? '[' : ','}${members}`)
      isEmpty = false
    },
    end: () => terminal.write(isEmpty ? '[]\n' : `${lineEnd}]\n`),
  }
}

/** All rows are needed to know how wide a column is; of an item only its cells are kept. */
function openTable<Item>(
  terminal: Terminal,
  width: number,
  columns: readonly Column<Item>[],
): OpenList<Item> {
  const rows: string[][] = []
  return {
    async write(items) {
      for (const item of items) rows.push(columns.map((column) => column.cell(item)))
    },
    async end() {
      if (rows.length === 0) return
      const cells = columns.map(({ cell: _, raw: __, ...column }, index) => ({
        ...column,
        cell: (row: string[]) => row[index] ?? '',
      }))
      await terminal.write(toTable(rows, cells, width, terminal.colors.stdout))
    },
  }
}

/** Writes a list whose items are all there. */
export async function writeList<Item>(
  context: Output,
  items: readonly Item[],
  view: ListView<Item>,
): Promise<void> {
  const list = openList(context, view)
  await list.write(items)
  await list.end()
}

/** Writes one object: JSON where that is asked for, else what `text` makes of it. */
export async function writeItem(context: Output, item: unknown, text: string): Promise<void> {
  const { terminal, globals } = context
  if (globals.output === 'json')
    return terminal.write(`${JSON.stringify(item, null, terminal.width ? 2 : 0)}\n`)
  if (globals.output === 'ndjson') return terminal.write(`${JSON.stringify(item)}\n`)
  return terminal.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** Writes what a change came to, where JSON is asked for: for people it is said. */
export async function writeResult({ terminal, globals }: Output, result: unknown): Promise<void> {
  if (globals.output === 'json' || globals.output === 'ndjson')
    await terminal.write(`${JSON.stringify(result)}\n`)
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
  allColumns: readonly Column<Item>[],
  width: number,
  colors: boolean,
): string {
  const all = allColumns.map((column) => ({
    ...column,
    cells: items.map((item) => printable(column.cell(item))),
  }))
  const columns = fitColumns(all, width)
  const paint = (style: Column<Item>['style'], text: string) =>
    colors && style !== undefined ? styleText(style, text, { validateStream: false }) : text
  const body = items.map((_, row) =>
    columns.map(({ cells, style, width, wraps }) => {
      const cell = cells[row] ?? ''
      return paint(style, wraps ? cell : shorten(cell, width))
    }),
  )
  return table([columns.map((column) => paint('bold', column.title)), ...body], {
    border: BORDER,
    drawHorizontalLine: () => false,
    drawVerticalLine: (index) => index > 0 && index < columns.length,
    columnDefault: { paddingLeft: 0, paddingRight: 0 },
    columns: columns.map(({ align, wraps, width }) => ({
      alignment: align ?? 'left',
      ...(wraps && { width, wrapWord: true }),
    })),
  })
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

const BORDER = { bodyJoin: '  ', headerJoin: '  ', joinJoin: '  ' }

/** A column is not shortened to less than this. */
const MIN_WIDTH = 12
const GAP = 2

interface FilledColumn extends Pick<Column<never>, 'title' | 'maxWidth' | 'whole' | 'spare'> {
  cells: readonly string[]
}

/**
 * Columns as wide as their content. Where that is too much, some are left out until the others fit when
 * shortened, and then the widest ones are shortened until they do.
 */
function fitColumns<Filled extends FilledColumn>(
  all: readonly Filled[],
  width: number,
): (Filled & { width: number })[] {
  const columns = all.map((column) => {
    const widest = Math.max(column.title.length, ...column.cells.map((cell) => cell.length))
    const wanted = Math.min(widest, column.maxWidth ?? widest)
    const least = column.whole ? wanted : Math.min(wanted, Math.max(MIN_WIDTH, column.title.length))
    return { ...column, width: wanted, least }
  })
  const excess = (key: 'width' | 'least') =>
    columns.reduce((sum, column) => sum + column[key] + GAP, -GAP) - width
  while (excess('least') > 0) {
    const [spare] = columns
      .filter((column) => column.spare !== undefined)
      .sort((a, b) => (a.spare ?? 0) - (b.spare ?? 0))
    if (spare === undefined) break
    columns.splice(columns.indexOf(spare), 1)
  }
  while (excess('width') > 0) {
    const [widest] = columns.filter((column) => column.width > column.least).sort((a, b) => b.width - a.width)
    if (widest === undefined) break
    widest.width--
  }
  return columns
}

export const shorten = (text: string, width: number) =>
  text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text
