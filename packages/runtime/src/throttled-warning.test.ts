import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLogger } from './log.ts'
import { throttledWarning } from './throttled-warning.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const log = createLogger('test', 'silent')
function record() {
  const warn = vi.spyOn(log, 'warn').mockClear()
  const report = throttledWarning(log, 'PostgreSQL connection')
  return { report, lines: () => warn.mock.calls.map(([fields, text]) => ({ fields, text })) }
}

test('logs a reason at once, and the same one again after a minute', () => {
  const { report, lines } = record()
  for (let second = 0; second < 60; second++) {
    report(new Error('password authentication failed'))
    vi.advanceTimersByTime(1_000)
  }
  report(new Error('password authentication failed'))
  const text = 'PostgreSQL connection failed'
  const error = 'password authentication failed'
  expect(lines()).toEqual([
    { fields: { error, suppressed: 0 }, text },
    { fields: { error, suppressed: 59 }, text },
  ])
})

test('logs another reason after a second', () => {
  const { report, lines } = record()
  report(new Error('one'))
  report(new Error('two'))
  vi.advanceTimersByTime(1_000)
  report(new Error('two'))
  expect(lines().map(({ fields }) => fields)).toEqual([
    { error: 'one', suppressed: 0 },
    { error: 'two', suppressed: 1 },
  ])
})

test('names each address of a host that refused', () => {
  const { report, lines } = record()
  report(
    new AggregateError([
      new Error('connect ECONNREFUSED ::1:5432'),
      new Error('connect ECONNREFUSED 127.0.0.1:5432'),
    ]),
  )
  expect(lines()[0]?.fields).toMatchObject({
    error: 'connect ECONNREFUSED ::1:5432, connect ECONNREFUSED 127.0.0.1:5432',
  })
})
