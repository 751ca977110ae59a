/** A record of a CSV file, with the number of its first line. `cells` is undefined when its quotes do not match. */
export interface CsvRecord {
  line: number
  cells: string[] | undefined
}

/** A quoted text may go over lines. Beyond this many, a quote is missing. */
const MAX_RECORD_LINES = 50
const BOM = '\uFEFF'

/** Reads CSV as RFC 4180 describes it. Skips empty lines. A quote without an end spoils its own line only. */
export async function* readCsv(lines: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  let line = 1
  let isFirst = true
  const waiting: string[] = []
  function* takeRecords(isEnd: boolean): Generator<CsvRecord> {
    while (waiting.length > 0) {
      const record = readRecord(waiting)
      if (record === undefined && waiting.length < MAX_RECORD_LINES && !isEnd) return
      const { length, cells } = record ?? { length: 1, cells: undefined }
      const [text] = waiting.splice(0, length)
      if (text !== '') yield { line, cells }
      line += length
    }
  }
  for await (const text of lines) {
    waiting.push((isFirst ? text.replace(BOM, '') : text).replace(/\r$/, ''))
    isFirst = false
    yield* takeRecords(false)
  }
  yield* takeRecords(true)
}

/** Reads the record that begins with the first of the lines. Undefined when none of them ends it. */
function readRecord(lines: readonly string[]): { length: number; cells: string[] } | undefined {
  for (let length = 1; length <= lines.length; length++) {
    const cells = toCells(lines.slice(0, length).join('\n'))
    if (cells !== undefined) return { length, cells }
  }
}

/** One cell: quoted, where "" is a quote, or plain. Within a plain cell a quote is a character like any other. */
const CELL = /\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^,]*)(?:,|$)/gy

/** @returns undefined when a quoted cell has no end, or goes on after it. */
function toCells(record: string): string[] | undefined {
  const cells: string[] = []
  CELL.lastIndex = 0
  while (CELL.lastIndex < record.length) {
    const [, quoted, plain = ''] = CELL.exec(record) ?? []
    if (quoted === undefined && plain.trimStart().startsWith('"')) return undefined
    cells.push(quoted?.replaceAll('""', '"') ?? plain.trim())
  }
  if (record.endsWith(',')) cells.push('')
  return cells
}

/** One line of CSV. */
export const toCsvLine = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`
