import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAdaptiveConcurrency } from './adaptive-concurrency.ts'

function slotsAfter(sizes: readonly number[], { writers = 2, max = 100 } = {}) {
  const told: number[] = []
  const slots = createAdaptiveConcurrency({ writers, max, onChange: (count) => told.push(count) })
  for (const size of sizes) slots.note(size)
  return { slots, told }
}

const repeat = (size: number, times: number) => Array.from({ length: times }, () => size)

describe('the job slots', () => {
  it('are few before anything is known, and at full envelopes', () => {
    expect(slotsAfter([]).slots.count).toBe(4)
    expect(slotsAfter(repeat(500, 1_000)).slots.count).toBe(4)
  })

  it.each([
    { size: 1, count: 100 },
    { size: 30, count: 28 },
    { size: 100, count: 10 },
  ])('become $count at $size events a job, wherever they came from', ({ size, count }) => {
    // Within one either way: the average comes near, it does not arrive.
    for (const before of [1, 500]) {
      const { slots } = slotsAfter([...repeat(before, 1_000), ...repeat(size, 1_000)])
      expect(Math.abs(slots.count - count)).toBeLessThanOrEqual(2)
    }
  })

  it('stay within bounds, fill the lanes, and say each change, whatever the jobs hold', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 256 }),
        (sizes, writers, max) => {
          const { slots, told } = slotsAfter(sizes, { writers, max })
          expect(slots.count).toBeGreaterThanOrEqual(Math.min(max, writers))
          expect(slots.count).toBeLessThanOrEqual(max)
          expect(slots.batchTarget * writers).toBeGreaterThanOrEqual(slots.count)
          expect(slots.batchTarget).toBeLessThanOrEqual(slots.count)
          if (told.length > 0) expect(told.at(-1)).toBe(slots.count)
        },
      ),
    )
  })
})
