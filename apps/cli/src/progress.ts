import { progress } from '@clack/prompts'
import { formatCount, formatDuration } from './age.ts'
import type { Terminal } from './terminal.ts'

/** Shows how far a long command is, on a terminal's stderr; elsewhere it shows nothing. */
export interface ProgressBar {
  /** @param note said behind the numbers. */
  update(done: number, note?: string): void
  stop(): void
}

const REDRAW_MS = 100

/** @param total how many there are to do; it may turn out to be fewer. */
export function startProgress(terminal: Terminal, label: string, total: number): ProgressBar {
  if (!terminal.stderr.isTTY || total <= 0) return { update: () => undefined, stop: () => undefined }
  const bar = progress({ max: total, size: 24, output: terminal.stderr, withGuide: false, indicator: 'dots' })
  const startedAt = performance.now()
  let shown = 0
  let drawnAt = 0
  bar.start(label)
  return {
    update(done, note = '') {
      const now = performance.now()
      if (now - drawnAt < REDRAW_MS && done < total) return
      drawnAt = now
      const perSecond = done / Math.max(0.001, (now - startedAt) / 1_000)
      const left = perSecond > 0 ? formatDuration(((total - done) / perSecond) * 1_000) : '?'
      const counts = `${formatCount(done)}/${formatCount(total)}`
      bar.advance(
        Math.max(0, done - shown),
        `${label} ${counts}  ${formatCount(Math.round(perSecond))}/s  ${left} left${note && `  ${note}`}`,
      )
      shown = Math.max(shown, done)
    },
    stop: () => bar.clear(),
  }
}
