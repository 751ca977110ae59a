import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { withSweepLock } from './sweep-lock.ts'

describe('the lock of the sweeper', () => {
  const releaser = useReleaser()
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase(releaser)
  })
  const tryLock = () => withSweepLock(database.database.pool, async () => {})

  it('lets one process work at a time', async () => {
    const [started, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const first = withSweepLock(database.database.pool, () => {
      started.resolve()
      return finish.promise
    })
    await started.promise
    expect(await tryLock()).toBe(false)
    finish.resolve()
    expect(await first).toBe(true)
    expect(await tryLock()).toBe(true)
  })

  it('is free again after the work failed', async () => {
    const failing = withSweepLock(database.database.pool, () => Promise.reject(new Error('canary')))
    await expect(failing).rejects.toThrow('canary')
    // The connection that held it closes; the server notices a moment later.
    await expect.poll(tryLock).toBe(true)
  })
})
