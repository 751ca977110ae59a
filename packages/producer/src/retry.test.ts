import { describe, expect, it } from 'vitest'
import { ProducerError } from './errors.ts'
import { readRetryAfter, retry } from './retry.ts'

const { signal } = new AbortController()

describe('retrying', () => {
  it('doubles the pause up to its limit, each shortened by up to half', async () => {
    const starts: number[] = []
    const options = { firstDelayMs: 20, maxDelayMs: 60, deadlineAt: performance.now() + 60_000, signal }
    await retry(async () => {
      starts.push(performance.now())
      if (starts.length < 5) throw new ProducerError('unavailable', 'Not yet.')
    }, options)
    const pauses = starts.slice(1).map((at, index) => at - (starts[index] ?? 0))
    // Timers may be a millisecond early.
    for (const [index, least] of [10, 20, 30, 30].entries()) expect(pauses[index]).toBeGreaterThan(least - 1)
  })

  it('begins no attempt after the deadline', async () => {
    let attempts = 0
    const options = { firstDelayMs: 1_000, maxDelayMs: 1_000, deadlineAt: performance.now() + 100, signal }
    const work = retry(async () => {
      attempts++
      throw new ProducerError('unavailable', 'Not yet.')
    }, options)
    await expect(work).rejects.toThrow('Not yet.')
    expect(attempts).toBe(1)
  })

  it.for([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7_000],
    [null, undefined],
    ['soon', undefined],
    [new Date(0).toUTCString(), 0],
  ] as const)('reads Retry-After: %s', ([value, expected]) => {
    expect(readRetryAfter(value)).toBe(expected)
  })

  it('reads a date in Retry-After', () => {
    const value = new Date(Date.now() + 60_000).toUTCString()
    expect(readRetryAfter(value)).toBeGreaterThan(58_000)
    expect(readRetryAfter(value)).toBeLessThanOrEqual(60_000)
  })
})
