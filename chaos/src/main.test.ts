import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findRedisServer } from '@tidings/stack/servers/redis'
import { describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const run = promisify(execFile)
const hasRedis = findRedisServer(process.env.PATH) !== undefined

describe('npm run chaos', () => {
  const form = hasRedis ? 'its short form' : 'its short form (NO REDIS ON THE PATH: only rows without one)'
  it(`passes ${form}`, { timeout: 900_000 }, async () => {
    const { stdout } = await run(process.execPath, [MAIN, '--short'], { maxBuffer: 10_000_000 })
    expect(stdout).toContain(hasRedis ? '| worker kill -9' : '| PostgreSQL queue: API and worker kill -9')
    expect(stdout).not.toContain('FAIL')
  })

  it.skipIf(!hasRedis).each(['cluster', 'sentinel'])(
    hasRedis ? 'passes on a %s' : 'passes on a %s: NO REDIS ON THE PATH',
    { timeout: 300_000 },
    async (topology) => {
      const { stdout } = await run(process.execPath, [MAIN, '--topology', topology, '--short'], {
        maxBuffer: 10_000_000,
      })
      expect(stdout).toMatch(/\| pass \|/)
      expect(stdout).not.toContain('FAIL')
    },
  )

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
