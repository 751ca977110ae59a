import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findProgram } from '@tidings/stack/servers/find-program'
import { findRedisServer } from '@tidings/stack/servers/redis'
import { describe, expect, it } from 'vitest'
import { PROXIES } from './proxies.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const run = promisify(execFile)
/** Not a row whose fault is a FAILOVER. */
const FAILED_ROW = /\| FAIL \|/
const hasRedis = findRedisServer(process.env.PATH) !== undefined

/** Runs the short form of a topology. Without Redis, its rows on the PostgreSQL queue. */
async function expectPass(topology: string): Promise<void> {
  const form = hasRedis ? ['--short'] : []
  const { stdout } = await run(process.execPath, [MAIN, '--topology', topology, ...form], {
    maxBuffer: 10_000_000,
  })
  expect(stdout).toMatch(/\| pass \|/)
  expect(stdout).not.toMatch(FAILED_ROW)
}

describe('npm run chaos', () => {
  const missing = PROXIES.filter((name) => findProgram(name, process.env.PATH) === undefined)
  const form = hasRedis
    ? `its short form${missing.map((name) => ` (NO ${name.toUpperCase()}: rows skipped)`).join('')}`
    : 'its short form (NO REDIS ON THE PATH: only rows without one)'
  it(`passes ${form}`, { timeout: 900_000 }, async () => {
    const { stdout } = await run(process.execPath, [MAIN, '--short'], { maxBuffer: 10_000_000 })
    expect(stdout).toContain(hasRedis ? '| worker kill -9' : '| PostgreSQL queue: API and worker kill -9')
    expect(stdout).not.toMatch(FAILED_ROW)
  })

  it('refuses an unknown row', async () => {
    await expect(run(process.execPath, [MAIN, '--only', 'nonsense'])).rejects.toMatchObject({
      code: 64,
      stderr: expect.stringContaining('There is no row nonsense.'),
    })
    await expect(run(process.execPath, [MAIN, '--topology', 'ring'])).rejects.toMatchObject({
      code: 64,
      stderr: expect.stringContaining('There is no topology ring.'),
    })
  })
})

// Each has its own servers, and mostly waits for a failover.
describe.concurrent('npm run chaos', () => {
  it.skipIf(!hasRedis).each(['cluster', 'sentinel'])(
    hasRedis ? 'passes on a Redis with topology %s' : 'passes on topology %s: NO REDIS ON THE PATH',
    { timeout: 300_000 },
    expectPass,
  )

  const hasPgbouncer = findProgram('pgbouncer', process.env.PATH) !== undefined
  it.skipIf(!hasPgbouncer)(
    `passes behind PgBouncer${hasPgbouncer ? '' : ': NO PGBOUNCER ON THE PATH'}`,
    { timeout: 300_000 },
    () => expectPass('pgbouncer'),
  )

  it('passes a failover of PostgreSQL', { timeout: 300_000 }, () => expectPass('replica'))
})
