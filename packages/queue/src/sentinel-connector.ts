import { type Redis, type SentinelConnectionOptions, SentinelConnector } from 'ioredis'
import { z } from 'zod'
import { CONNECTION_CLOSED } from './connection-closed.ts'

const detectorSchema = z.object({ cleanup: z.function() })
type ConnectToSentinel = (...args: unknown[]) => Redis

/**
 * ioredis's connector for Sentinels, with two repairs:
 * - It leaves a master when the Sentinels name another one: a frozen master does not close its connections. ioredis keeps
 *   listening for that after a connection was lost. The message then breaks off the attempt to connect again, and the
 *   connection stays ended for ever. So this stops listening before each attempt.
 * - Its error says why no Sentinel could be asked, such as a certificate or a password that was refused.
 */
export class FollowingSentinelConnector extends SentinelConnector {
  #refused: Error | undefined

  // ioredis declares connectors with options of an unknown type.
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions)
    const connectToSentinel = Reflect.get(this, 'connectToSentinel') as ConnectToSentinel
    Reflect.set(this, 'connectToSentinel', (...args: unknown[]) => {
      const sentinel = connectToSentinel.apply(this, args)
      // Without a listener, ioredis writes these to the console.
      return sentinel.on('error', (error: Error) => {
        this.#refused = error
      })
    })
  }

  override connect(
    ...[emit]: Parameters<SentinelConnector['connect']>
  ): ReturnType<SentinelConnector['connect']> {
    const previous: unknown = Reflect.get(this, 'failoverDetector')
    if (detectorSchema.safeParse(previous).success) (previous as { cleanup(): void }).cleanup()
    return super.connect((type, error) => emit(type, type === 'error' ? this.#explain(error) : error))
  }

  /** Drops the time to the next attempt from ioredis's text, too: a log says the same reason once. */
  #explain({ message }: Error): Error {
    const reason = message.split('Last error: ')[1] ?? message
    const cause =
      reason === CONNECTION_CLOSED || reason === this.#refused?.message ? this.#refused : undefined
    return new Error(`No Sentinel names the master: ${cause?.message ?? reason}`, { cause })
  }
}
