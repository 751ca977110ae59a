import type { HashTask } from '../passwords/hash-worker.ts'

interface CountingPool {
  derive(task: HashTask): Promise<Buffer>
  /** The work since the last call. */
  takeWork(): { tasks: number; iterations: number }
}

/**
 * Stands in for the hash pool. Counts iterations instead of measuring time, which other processes would disturb.
 * A cheap hash of another algorithm counts as what the worker tops it up to.
 * Every derived key is zeroes, so a hash of zeroes matches every password.
 */
export function createCountingPool(): CountingPool {
  let work = { tasks: 0, iterations: 0 }
  return {
    async derive({ derivation, minIterations = 0, bytes }) {
      work.tasks++
      const own = derivation.algorithm === 'pbkdf2_sha256' ? derivation.iterations : 0
      work.iterations += Math.max(own, minIterations)
      return Buffer.alloc(bytes)
    },
    takeWork() {
      const taken = work
      work = { tasks: 0, iterations: 0 }
      return taken
    },
  }
}
