import { pbkdf2Sync } from 'node:crypto'
import { AppError } from '@tidings/shared/errors'
import type { KeyDerivation } from '@tidings/shared/password-hash'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { HashPool, type HashPoolOptions } from './hash-pool.ts'
import type { HashTask } from './hash-worker.ts'

const releaser = useReleaser()
const openPool = (options: HashPoolOptions) => releaser.add(new HashPool(options), (pool) => pool.close())
const task = (iterations: number, minIterations = 0): HashTask => ({
  password: 'p',
  derivation: { algorithm: 'pbkdf2_sha256', salt: 's', iterations },
  minIterations,
  bytes: 32,
})

it('runs one derivation per thread at once, and leaves the event loop free', async () => {
  const pool = openPool({ threads: 2 })
  const all = Promise.all(Array.from({ length: 6 }, () => pool.derive(task(100_000))))
  expect(pool.pending).toBe(6)
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const digests = await all
  clearInterval(timer)
  expect(turns).toBeGreaterThan(20)
  const expected = pbkdf2Sync('p', 's', 100_000, 32, 'sha256')
  for (const digest of digests) expect(digest.equals(expected)).toBe(true)
  expect(pool.pending).toBe(0)
})

it.each<KeyDerivation>([
  {
    algorithm: 'argon2',
    variant: 'argon2id',
    memoryKib: 102_400,
    passes: 2,
    parallelism: 8,
    salt: Buffer.from('saltsalt'),
  },
  { algorithm: 'bcrypt', cost: 12, setting: '$2b$12$abcdefghijklmnopqrstuu' },
  { algorithm: 'scrypt', cost: 16_384, blockSize: 8, parallelism: 5, salt: 'salt' },
])('leaves the event loop free for $algorithm', async (derivation) => {
  const pool = openPool({ threads: 1 })
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await pool.derive({ password: 'p', derivation, bytes: 32 })
  clearInterval(timer)
  expect(turns).toBeGreaterThan(10)
})

it('spends the time of the least iterations, and gives the result without them', async () => {
  const pool = openPool({ threads: 1 })
  const derive = async (hashTask: HashTask) => {
    const startedMs = performance.now()
    const digest = await pool.derive(hashTask)
    return { digest, ms: performance.now() - startedMs }
  }
  // The first one also starts the thread.
  const { digest } = await derive(task(1))
  const shortMs = Math.min((await derive(task(1))).ms, (await derive(task(1))).ms)
  const long = await derive(task(1, 400_000))
  expect(long.digest.equals(digest)).toBe(true)
  expect(long.ms).toBeGreaterThan(shortMs + 20)
})

it('refuses a derivation that waits too long, with a time to come back', async () => {
  const pool = openPool({ threads: 1, maxWaitMs: 20 })
  const first = pool.derive(task(400_000))
  const second = await pool.derive(task(1)).catch((error: unknown) => error)
  expect(second).toBeInstanceOf(AppError)
  expect(second).toMatchObject({ code: 'overloaded', retryAfterSeconds: 2 })
  await first
})

it('refuses at once when too many derivations wait', async () => {
  const pool = openPool({ threads: 1, maxWaiting: 1 })
  const accepted = [pool.derive(task(100_000)), pool.derive(task(1))]
  await expect(pool.derive(task(1))).rejects.toMatchObject({ code: 'overloaded' })
  await Promise.all(accepted)
})

it('rejects running and waiting derivations when it is closed', async () => {
  const pool = new HashPool({ threads: 1 })
  const outcomes = Promise.allSettled([pool.derive(task(1_000_000)), pool.derive(task(1))])
  await pool.close()
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})
