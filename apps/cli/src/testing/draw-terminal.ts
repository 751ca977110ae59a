import xterm from '@xterm/headless'
import type { TerminalSize } from './terminal-session.ts'

const CELL = { width: 8.4, height: 19, fontSize: 14 }
const PADDING = 16
const BACKGROUND = '#16181d'
const FOREGROUND = '#d6d9de'
/** The 16 colours of a terminal: what \u001b[30m to \u001b[37m and their bright forms show. */
const PALETTE = [
  ...['#3b4048', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#d6d9de'],
  ...['#7f848e', '#ff7b86', '#b1e18b', '#ffd68a', '#7cc4ff', '#df8ef5', '#6fd3e0', '#ffffff'],
]

/** A stretch of a line that looks the same. */
interface Run {
  column: number
  text: string
  attributes: string
}

/** An SVG of what a terminal of this size shows at last, scrolled-away lines included. */
export async function drawTerminal(
  title: string,
  output: string,
  { columns, rows }: TerminalSize,
): Promise<string> {
  const terminal = new xterm.Terminal({ cols: columns, rows, scrollback: 1_000, allowProposedApi: true })
  await new Promise<void>((resolve) => terminal.write(output, resolve))
  const buffer = terminal.buffer.active
  const lines: Run[][] = []
  for (let row = 0; row < buffer.length; row++) lines.push(readLine(buffer.getLine(row), columns))
  terminal.dispose()
  while (lines.at(-1)?.length === 0) lines.pop()

  const width = Math.ceil(columns * CELL.width + 2 * PADDING)
  const height = lines.length * CELL.height + 2 * PADDING
  const texts = lines.flatMap((runs, row) => runs.map((run) => drawRun(run, row)))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`,
    `<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="${CELL.fontSize}" fill="${FOREGROUND}">`,
    ...texts,
    '</g>',
    '</svg>\n',
  ].join('\n')
}

type BufferLine = ReturnType<InstanceType<typeof xterm.Terminal>['buffer']['active']['getLine']>

function readLine(line: BufferLine, columns: number): Run[] {
  const runs: Run[] = []
  for (let column = 0; column < columns; column++) {
    const cell = line?.getCell(column)
    if (cell === undefined || cell.getWidth() === 0) continue
    const color = cell.isFgPalette() ? PALETTE[cell.getFgColor()] : undefined
    const attributes = [
      color && ` fill="${color}"`,
      cell.isBold() && ' font-weight="bold"',
      cell.isDim() && ' opacity="0.6"',
    ]
      .filter(Boolean)
      .join('')
    const last = runs.at(-1)
    const text = cell.getChars() || ' '
    if (last?.attributes === attributes) last.text += text
    else runs.push({ column, text, attributes })
  }
  const shown = runs.map((run) => ({ ...run, text: run.text.trimEnd() }))
  return shown.filter(({ text }) => text !== '')
}

/** The width is said as well: columns stay in line with whatever font the reader has. */
function drawRun({ column, text, attributes }: Run, row: number): string {
  const indent = text.length - text.trimStart().length
  const shown = text.trimStart()
  const x = (PADDING + (column + indent) * CELL.width).toFixed(1)
  const y = PADDING + row * CELL.height + CELL.fontSize
  const length = ([...shown].length * CELL.width).toFixed(1)
  return `<text x="${x}" y="${y}" textLength="${length}" lengthAdjust="spacingAndGlyphs"${attributes}>${escapeXml(shown)}</text>`
}

/** Spaces as no-break spaces: SVG would draw several as one. */
const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(' ', '\u00a0')
