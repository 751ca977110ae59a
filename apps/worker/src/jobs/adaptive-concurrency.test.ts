import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAdaptiveConcurrency } from './adaptive-concurrency.ts'

function recordAll(sizes: readonly number[], { writers = 2, max = 100 } = {}) {
  const changes: number[] = []
  const concurrency = createAdaptiveConcurrency({ writers, max, onChange: (jobs) => changes.push(jobs) })
  for (const size of sizes) concurrency.record(size)
  return { concurrency, changes }
}

const repeat = (size: number, times: number) => Array.from({ length: times }, () => size)

describe('the adaptive concurrency', () => {
  it('is low at the start and for full jobs', () => {
    expect(recordAll([]).concurrency.jobs).toBe(4)
    expect(recordAll(repeat(500, 1_000)).concurrency.jobs).toBe(4)
  })

  it.each([
    { size: 1, jobs: 100 },
    { size: 30, jobs: 28 },
    { size: 100, jobs: 10 },
  ])('approaches $jobs for jobs of $size events, from larger and from smaller jobs', ({ size, jobs }) => {
    for (const before of [1, 500]) {
      const { concurrency } = recordAll([...repeat(before, 1_000), ...repeat(size, 1_000)])
      // The running average approaches the size but does not reach it.
      expect(Math.abs(concurrency.jobs - jobs)).toBeLessThanOrEqual(2)
    }
  })

  it('stays within its bounds, fills every writer and reports each change, for jobs of any sizes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 256 }),
        (sizes, writers, max) => {
          const { concurrency, changes } = recordAll(sizes, { writers, max })
          const { jobs, batchTarget } = concurrency
          expect(jobs).toBeGreaterThanOrEqual(Math.min(max, writers))
          expect(jobs).toBeLessThanOrEqual(max)
          expect(batchTarget * writers).toBeGreaterThanOrEqual(jobs)
          expect(batchTarget).toBeLessThanOrEqual(jobs)
          if (changes.length > 0) expect(changes.at(-1)).toBe(jobs)
        },
      ),
    )
  })
})
