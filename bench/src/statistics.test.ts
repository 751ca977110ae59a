import fc from 'fast-check'
import { expect, it } from 'vitest'
import { percentile, summarize } from './statistics.ts'

it('interpolates between the two nearest values', () => {
  expect(percentile([3, 1, 2], 0.5)).toBe(2)
  expect(percentile([4, 1, 3, 2], 0.5)).toBe(2.5)
  expect(percentile([], 0.5)).toBeNaN()
})

it('keeps percentiles between the smallest and the largest value, on the right side of the median', () => {
  const values = fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 })
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (some, share) => {
      const { min, median, max } = summarize(some)
      const value = percentile(some, share)
      expect(value).toBeGreaterThanOrEqual(min)
      expect(value).toBeLessThanOrEqual(max)
      expect(share < 0.5 ? value <= median : value >= median).toBe(true)
    }),
  )
})

it('refuses to summarize no values', () => {
  expect(() => summarize([])).toThrow('no values')
})
