import { clearLine, cursorTo } from 'node:readline'
import { formatCount, formatDuration } from './format.ts'
import { createPaint } from './table.ts'
import type { Terminal } from './terminal.ts'

/** Shows the progress of a long command on a terminal's stderr. Elsewhere it shows nothing. */
export interface ProgressBar {
  update(done: number): void
  /** Removes the bar from the terminal. */
  stop(): void
}

const REDRAW_MS = 100
const BAR_COLUMNS = 24
const FRAMES = ['◒', '◐', '◓', '◑']

/**
 * Draws a progress bar. The one of @clack/prompts cannot be used: it reads the keys and ends the process with 0 at
 * Ctrl-C.
 *
 * @param total the expected number of items. A run may end with fewer.
 */
export function startProgress(terminal: Terminal, label: string, total: number): ProgressBar {
  const { stderr } = terminal
  if (!stderr.isTTY || total <= 0) return { update: () => undefined, stop: () => undefined }
  let first: { done: number; at: number } | undefined
  let share = 0
  let text = label
  let frame = 0
  const erase = () => {
    cursorTo(stderr, 0)
    clearLine(stderr, 1)
  }
  const draw = () => {
    // A line as wide as the terminal would wrap, and the next one would not erase it.
    const room = (stderr.columns || 80) - 1
    const sign = `${FRAMES[frame++ % FRAMES.length]} `
    const bar = drawBar(share, terminal.colors.stderr)
    const hasBar = sign.length + BAR_COLUMNS + 1 + text.length <= room
    erase()
    stderr.write(hasBar ? `${sign}${bar} ${text}` : `${sign}${text}`.slice(0, room))
  }
  draw()
  const timer = setInterval(draw, REDRAW_MS)
  return {
    update(done) {
      // The speed is measured from the first batch on: with --rate, the first one comes at once.
      first ??= { done, at: performance.now() }
      const perSecond = (1_000 * (done - first.done)) / Math.max(1, performance.now() - first.at)
      const speed = perSecond > 0 ? describeSpeed(perSecond, total - done) : ''
      share = Math.min(1, done / total)
      text = `${label} ${formatCount(done)}/${formatCount(total)}${speed}`
    },
    stop() {
      clearInterval(timer)
      erase()
    },
  }
}

function describeSpeed(perSecond: number, left: number): string {
  const speed = perSecond < 1 ? perSecond.toFixed(1) : formatCount(Math.round(perSecond))
  return `  ${speed}/s  ${formatDuration((left / perSecond) * 1_000)} left`
}

function drawBar(share: number, colors: boolean): string {
  const paint = createPaint(colors)
  const filled = Math.floor(share * BAR_COLUMNS)
  return `${paint('magenta', '━'.repeat(filled))}${paint('dim', '─'.repeat(BAR_COLUMNS - filled))}`
}
