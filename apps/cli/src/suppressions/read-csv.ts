/** A record of a CSV file, with the number of its first line. `cells` is undefined when its quotes do not match. */
export interface CsvRecord {
  line: number
  cells: string[] | undefined
}

/** A quoted text may go over lines. Beyond this many, a quote is missing. */
const MAX_RECORD_LINES = 50
const BOM = '\uFEFF'

/** Reads CSV as RFC 4180 describes it. Skips empty lines. */
export async function* readCsv(lines: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  let line = 0
  let open: { first: number; texts: string[] } | undefined
  for await (const text of lines) {
    line++
    const clean = (line === 1 ? text.replace(BOM, '') : text).replace(/\r$/, '')
    open ??= { first: line, texts: [] }
    open.texts.push(clean)
    const record = open.texts.join('\n')
    if (record === '') open = undefined
    else if (isComplete(record)) {
      yield { line: open.first, cells: toCells(record) }
      open = undefined
    } else if (open.texts.length === MAX_RECORD_LINES) {
      yield { line: open.first, cells: undefined }
      open = undefined
    }
  }
  if (open !== undefined) yield { line: open.first, cells: undefined }
}

const isComplete = (record: string) => (record.match(/"/g) ?? []).length % 2 === 0

/** One cell: quoted, where "" is a quote, or plain. */
const CELL = /\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^,]*)(?:,|$)/gy

function toCells(record: string): string[] {
  const cells: string[] = []
  CELL.lastIndex = 0
  while (CELL.lastIndex < record.length) {
    const match = CELL.exec(record)
    if (match === null) break
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2]?.trim() ?? '')
  }
  if (record.endsWith(',')) cells.push('')
  return cells
}

/** One line of CSV. */
export const toCsvLine = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`
