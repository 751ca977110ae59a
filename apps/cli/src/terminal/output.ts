import { usageError } from '../exit-codes.ts'
import { type Column, escapeJson, printable, toPrintableJson, toTable } from './table.ts'
import type { Terminal } from './terminal.ts'

export const OUTPUT_FORMATS = ['table', 'json', 'ndjson', 'id'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** Where output goes and in which format: the part of a command's context that this file needs. */
export interface Output {
  terminal: Terminal
  globals: { output: OutputFormat | undefined }
}

export interface ListView<Item> {
  columns: readonly Column<Item>[]
  json(item: Item): unknown
  /** Without it, `-o id` is a usage error. */
  id?(item: Item): string
}

/** A list that is written part by part, so that a long one does not fill memory. */
interface OpenList<Item> {
  write(items: readonly Item[]): Promise<void>
  end(): Promise<void>
}

/** Opens a list in the format asked for. The default is a table on a terminal, and tab-separated lines in a pipe. */
export function openList<Item>({ terminal, globals }: Output, view: ListView<Item>): OpenList<Item> {
  const inLines = (toLine: (item: Item) => string): OpenList<Item> => ({
    write: (items) => terminal.write(items.map((item) => `${toLine(item)}\n`).join('')),
    end: async () => undefined,
  })
  switch (globals.output) {
    case 'json':
      return openArray(terminal, view.json)
    case 'ndjson':
      return inLines((item) => toPrintableJson(view.json(item)))
    case 'id': {
      const { id } = view
      if (id === undefined) throw usageError('There are no ids here: use -o table, json or ndjson.')
      return inLines((item) => toIdLine(terminal, id(item)))
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
      // The members of an array as JSON.stringify formats them, without the brackets around them.
      const members = JSON.stringify(items.map(toJson), null, indent).slice(1, lineEnd ? -2 : -1)
      await terminal.write(`${isEmpty ? '[' : ','}${escapeJson(members)}`)
      isEmpty = false
    },
    end: () => terminal.write(isEmpty ? '[]\n' : `${lineEnd}]\n`),
  }
}

/** Keeps the cells of each item, not the item. The width of a column is known only after the last one. */
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

/** Writes a list whose items are all in memory. */
export async function writeList<Item>(
  context: Output,
  items: readonly Item[],
  view: ListView<Item>,
): Promise<void> {
  const list = openList(context, view)
  await list.write(items)
  await list.end()
}

/** Writes one object: as JSON when that is asked for, otherwise as `text`. */
export async function writeItem(context: Output, item: unknown, text: string): Promise<void> {
  const { terminal, globals } = context
  if (globals.output === 'json') return terminal.write(`${toPrintableJson(item, terminal.width ? 2 : 0)}\n`)
  if (globals.output === 'ndjson') return terminal.write(`${toPrintableJson(item)}\n`)
  return terminal.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** Writes the result of a change when JSON is asked for. Otherwise the command has reported it on stderr. */
export async function writeResult({ terminal, globals }: Output, result: unknown): Promise<void> {
  if (globals.output === 'json' || globals.output === 'ndjson')
    await terminal.write(`${toPrintableJson(result)}\n`)
}

/** An id as it is for a script, printable for a terminal. */
export const toIdLine = ({ width }: Terminal, id: string) => (width === undefined ? id : printable(id))

/** One line. A producer's text must not break it. */
const toTsv = <Item>(item: Item, columns: readonly Column<Item>[]) =>
  columns.map((column) => printable((column.raw ?? column.cell)(item))).join('\t')
