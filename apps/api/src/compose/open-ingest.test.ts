import { ConfigError } from '@tidings/runtime/env'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestDatabase,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Registry } from 'prom-client'
import { expect, it, vi } from 'vitest'
import { z } from 'zod'
import { openIngest } from './open-ingest.ts'

const settingSchema = z.object({ setting: z.string(), found: z.string() })

describeRedis('opening ingest', () => {
  const releaser = useReleaser()

  it('waits for the settings of a slow Redis, warns of them, and reports them as unsafe when strict', async () => {
    const { url } = await createTestDatabase(releaser)
    const redis = await startTestRedis(releaser, { appendfsync: 'everysec' })
    const log = createLogger('test', 'silent')
    const warn = vi.spyOn(log, 'warn')
    const onUnsafe = vi.fn()
    const lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    const { publisher } = openIngest({
      env: {
        DATABASE_URL: url,
        REDIS_URL: redis.url,
        QUEUE_PREFIX: 't',
        RECIPIENT_KEY: 'a key of this test',
        QUEUE_SHARDS: 1,
        ACK_REPLICAS: 0,
        QUEUE_MAX_DEPTH: 1_000,
        STRICT_DURABILITY: true,
      },
      registry: new Registry(),
      lifecycle,
      log,
      onUnsafe,
    })
    const connection = publisher.redis
    if (connection === undefined) throw new Error('There is no connection')
    // Freeze Redis as soon as it is reached: the first questions get no answer.
    const frozen = new Promise<void>((resolve) =>
      connection.prependOnceListener('ready', () => {
        redis.freeze()
        resolve()
      }),
    )
    await frozen
    await expect(connection.ping()).rejects.toThrow('timed out')
    redis.thaw()
    const settingsFound = () =>
      warn.mock.calls.flatMap(([fields]) => settingSchema.safeParse(fields).data ?? [])
    await waitFor('the settings to be checked', () => onUnsafe.mock.calls.length > 0)
    expect(settingsFound()).toEqual([{ setting: 'appendfsync', found: 'everysec' }])
    expect(onUnsafe).toHaveBeenCalledWith(expect.any(ConfigError))
  })
})
