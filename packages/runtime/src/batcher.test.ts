import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Batcher } from './batcher.ts'

const double = (items: number[]) => Promise.resolve(items.map((item) => item * 2))

describe('a batcher', () => {
  it('gives every caller its result, in batches within the limits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer(), { maxLength: 60 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 3 }),
        async (items, maxItems, maxInFlight) => {
          const sizes: number[] = []
          let inFlight = 0
          const batcher = new Batcher<number, number>({
            maxSize: maxItems,
            windowMs: 0,
            maxInFlight,
            async flush(batch) {
              sizes.push(batch.length)
              expect(++inFlight).toBeLessThanOrEqual(maxInFlight)
              await new Promise((resolve) => setImmediate(resolve))
              inFlight--
              return double(batch)
            },
          })
          const results = await Promise.all(items.map((item) => batcher.add(item)))
          expect(results).toEqual(await double(items))
          expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(maxItems)
          expect(batcher.pending).toBe(0)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('gathers items that arrive together into one batch', async () => {
    const sizes: number[] = []
    const batcher = new Batcher<number, number>({
      maxSize: 500,
      windowMs: 2,
      maxInFlight: 1,
      flush: (batch) => {
        sizes.push(batch.length)
        return double(batch)
      },
    })
    await Promise.all(Array.from({ length: 100 }, (_, i) => batcher.add(i)))
    expect(sizes).toEqual([100])
  })

  describe('with a deadline', () => {
    afterEach(() => void vi.useRealTimers())

    it('rejects every hanging item exactly once, also items that become due during the rejection', async () => {
      let errors = 0
      const batcher = new Batcher<number, number>({
        maxSize: 100,
        windowMs: 0,
        maxInFlight: 2,
        deadline: {
          ms: 20,
          error() {
            errors++
            const until = performance.now() + 0.1
            while (performance.now() < until);
            return new Error('late')
          },
        },
        flush: () => new Promise(() => {}),
      })
      const answers: Promise<unknown>[] = []
      const startedAt = performance.now()
      while (answers.length < 300) {
        answers.push(batcher.add(answers.length))
        const nextAt = startedAt + answers.length * 0.05
        while (performance.now() < nextAt);
      }
      const settled = await Promise.allSettled(answers)
      expect(settled.every(({ status }) => status === 'rejected')).toBe(true)
      expect(errors).toBe(300)
    })

    it('rejects late items and never flushes those that were still waiting', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
      const flushed: number[][] = []
      let release = () => {}
      const batcher = new Batcher<number, number>({
        maxSize: 10,
        windowMs: 0,
        maxInFlight: 1,
        deadline: { ms: 100, error: () => new Error('late') },
        async flush(batch) {
          flushed.push(batch)
          await new Promise<void>((resolve) => {
            release = resolve
          })
          return double(batch)
        },
      })
      const seen = new Map<number, string>()
      const add = (item: number) =>
        batcher.add(item).then(
          (result) => seen.set(item, `is ${result}`),
          (error: Error) => seen.set(item, error.message),
        )
      const answers = [add(1)]
      await vi.advanceTimersByTimeAsync(50)
      answers.push(add(2))
      await vi.advanceTimersByTimeAsync(49)
      expect(seen.size).toBe(0)
      await vi.advanceTimersByTimeAsync(2)
      expect([...seen]).toEqual([[1, 'late']])
      await vi.advanceTimersByTimeAsync(50)
      expect(seen.get(2)).toBe('late')
      answers.push(add(3))
      release()
      await vi.advanceTimersByTimeAsync(1)
      release()
      await Promise.all(answers)
      expect(seen.get(3)).toBe('is 6')
      expect(flushed).toEqual([[1], [3]])
      await batcher.drain()
      expect(batcher.pending).toBe(0)
    })

    it('keeps no process running once everything is decided', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
      const deadline = { ms: 30_000, error: () => new Error('late') }
      const batcher = new Batcher<number, number>({
        maxSize: 10,
        windowMs: 0,
        maxInFlight: 1,
        deadline,
        flush: double,
      })
      const answer = batcher.add(1)
      await vi.advanceTimersByTimeAsync(1)
      expect(await answer).toBe(2)
      expect(vi.getTimerCount()).toBe(0)
      // The next item has its deadline again.
      void batcher.add(2)
      expect(vi.getTimerCount()).toBe(2)
    })
  })

  it('rejects each caller of a failed batch and takes further items', async () => {
    let fail = true
    const batcher = new Batcher<number, number>({
      maxSize: 10,
      windowMs: 0,
      maxInFlight: 1,
      flush: (batch) => (fail ? Promise.reject(new Error('down')) : double(batch)),
    })
    const outcomes = await Promise.allSettled([batcher.add(1), batcher.add(2)])
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected'])
    fail = false
    expect(await batcher.add(3)).toBe(6)
  })

  it('resolves drain() once every added item is decided', async () => {
    const decided: number[] = []
    const batcher = new Batcher<number, number>({ maxSize: 1, windowMs: 0, maxInFlight: 1, flush: double })
    for (const item of [1, 2, 3]) void batcher.add(item).then((result) => decided.push(result))
    await batcher.drain()
    await Promise.resolve()
    expect(decided).toEqual([2, 4, 6])
  })

  it('limits a batch by sizeOf, except for a single larger item', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 30 }),
        async (weights, maxSize) => {
          const batches: number[][] = []
          const batcher = new Batcher<number, number>({
            maxSize,
            sizeOf: (weight) => weight,
            windowMs: 0,
            maxInFlight: 2,
            flush(batch) {
              batches.push(batch)
              return double(batch)
            },
          })
          expect(await Promise.all(weights.map((weight) => batcher.add(weight)))).toEqual(
            await double(weights),
          )
          expect(batches.flat()).toEqual(weights)
          for (const batch of batches) {
            const weight = batch.reduce((sum, each) => sum + each, 0)
            expect(batch.length === 1 || weight <= maxSize).toBe(true)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('flushes at once when flushEarly says so', async () => {
    const sizes: number[] = []
    const batcher = new Batcher<number, number>({
      maxSize: 500,
      flushEarly: (items) => items >= 3,
      windowMs: 60_000,
      maxInFlight: 1,
      flush: (batch) => {
        sizes.push(batch.length)
        return double(batch)
      },
    })
    expect(await Promise.all([1, 2, 3].map((item) => batcher.add(item)))).toEqual([2, 4, 6])
    expect(sizes).toEqual([3])
  })
})
