import type { DeadLetterStats } from '@tidings/queue/dead-letters/stats'
import { expect, test } from 'vitest'
import { drawStats } from './draw-stats.ts'

const now = new Date()
const stats: DeadLetterStats = {
  depth: 200_000,
  oldest: now.toISOString(),
  newest: now.toISOString(),
  inflow: { last_minute: 1_234, last_hour: 56_789 },
  inflow_per_minute: Array.from({ length: 60 }, (_, minute) => minute),
  exhausted: 12_345,
  by_reason: { unknown_user: 150_000, retries_exhausted: 50_000 },
  by_type: { email: 200_000 },
  queue: { waiting: 12, active: 3, delayed: 0, failed: 0, oldestWaitingAt: now },
}

test.each([80, 81, 120])('no line of the statistics is wider than %d columns', (width) => {
  const depths = Array.from({ length: 60 }, (_, time) => time)
  for (const line of drawStats(stats, { width, colors: false, depths }).split('\n'))
    expect([line, line.length <= width]).toEqual([line, true])
})

test('a narrow picture omits the oldest values and says how many it shows', () => {
  const minutes = (width: number) => /[▁-█]+ \d+ min/.exec(drawStats(stats, { width, colors: false }))?.[0]
  expect(minutes(120)).toMatch(/^▁.{59} 60 min$/)
  expect(minutes(70)).toMatch(/^.{43}█ 44 min$/)
})

test.each([
  { depths: 40, label: 'since start' },
  { depths: 1_000, label: 'until now' },
])('says whether it draws all of $depths depths', ({ depths, label }) => {
  const seen = Array.from({ length: depths }, (_, time) => time)
  expect(drawStats(stats, { width: 90, colors: false, depths: seen })).toMatch(
    new RegExp(`^Depth {9}[▁-█]+ ${label}$`, 'm'),
  )
})
