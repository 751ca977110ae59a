import { styleText } from 'node:util'
import { table } from 'table'

export interface Column<Item> {
  title: string
  /** The text in a table on a terminal. */
  cell(item: Item): string
  /** The text in tab-separated lines. The default is the cell's. */
  raw?(item: Item): string
  align?: 'left' | 'right'
  /** On a terminal the text is shortened to this many columns. */
  maxWidth?: number
  /** Never shortened: nobody can type an id that is cut off. */
  whole?: true
  /** Continues on the next line instead of being shortened. */
  wraps?: true
  /** A terminal too narrow for all columns omits this one. The column with the smallest number goes first. */
  spare?: number
  style?: Parameters<typeof styleText>[0]
}

/** Colours a text, or returns it unchanged where colours are off. */
export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

export const createPaint =
  (colors: boolean): Paint =>
  (style, text) =>
    colors ? styleText(style, text, { validateStream: false }) : text

/**
 * Text without control characters and without those that turn the direction of writing. A producer's text could
 * otherwise move the cursor, clear the screen or show another text than it holds.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, ' ')
}

/** JSON in which the characters that `printable` removes are escaped. It parses to the same value. */
export const toPrintableJson = (value: unknown, indent = 0): string =>
  escapeJson(JSON.stringify(value, null, indent))

/** Escapes the characters that JSON.stringify leaves as they are and `printable` removes. */
export const escapeJson = (json: string): string =>
  json.replace(
    /[\u007f-\u009f\p{Bidi_Control}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

export const shorten = (text: string, width: number) =>
  text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text

const BORDER = { bodyJoin: '  ', headerJoin: '  ', joinJoin: '  ' }
/** Width of BORDER's gaps between columns. */
const GAP = 2
/** A column is not shortened to less than this. */
const MIN_WIDTH = 12

/** Formats an aligned table with a heading, at most `width` columns wide. */
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
  const paint = createPaint(colors)
  const body = items.map((_, row) =>
    columns.map(({ cells, style, width, wraps }) => {
      const cell = cells[row] ?? ''
      const text = wraps ? cell : shorten(cell, width)
      return style === undefined ? text : paint(style, text)
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

interface FilledColumn extends Pick<Column<never>, 'title' | 'maxWidth' | 'whole' | 'spare'> {
  cells: readonly string[]
}

/**
 * Fits columns into `width`. First it omits spare columns until the others can be shortened enough. Then it shortens
 * the widest column, one character at a time.
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
