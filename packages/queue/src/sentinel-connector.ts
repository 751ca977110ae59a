import { type SentinelConnectionOptions, SentinelConnector } from 'ioredis'
import { z } from 'zod'

const detectorSchema = z.object({ cleanup: z.function() })

/**
 * ioredis's connector for Sentinels, which leaves a master when they name another one: a frozen master does not close
 * its connections.
 *
 * ioredis keeps listening for that after a connection was lost. The message then breaks off the attempt to connect again,
 * and the connection stays ended for ever. So this stops listening before each attempt.
 */
export class FollowingSentinelConnector extends SentinelConnector {
  // ioredis declares connectors with options of an unknown type.
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions)
  }

  override connect(
    ...args: Parameters<SentinelConnector['connect']>
  ): ReturnType<SentinelConnector['connect']> {
    const previous: unknown = Reflect.get(this, 'failoverDetector')
    if (detectorSchema.safeParse(previous).success) (previous as { cleanup(): void }).cleanup()
    return super.connect(...args)
  }
}
