import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findRedisServer } from '@tidings/stack/redis'
import { describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const run = promisify(execFile)
const hasRedis = findRedisServer() !== undefined

describe('npm run chaos', () => {
  it.skipIf(!hasRedis)(
    `passes its short form${hasRedis ? '' : ': NO REDIS ON THE PATH'}`,
    { timeout: 300_000 },
    async () => {
      const { stdout } = await run(process.execPath, [MAIN, '--short'], { maxBuffer: 10_000_000 })
      expect(stdout).toContain('| worker kill -9')
      expect(stdout).not.toContain('FAIL')
    },
  )

  it('refuses an unknown row with a usage error', async () => {
    await expect(run(process.execPath, [MAIN, '--only', 'nonsense'])).rejects.toMatchObject({
      code: 64,
      stderr: expect.stringContaining('There is no row nonsense.'),
    })
  })
})
