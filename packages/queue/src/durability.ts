import { ConfigError } from '@tidings/runtime/env'
import type { Logger } from '@tidings/runtime/log'
import type { Redis } from 'ioredis'
import { unlessForbidden } from './redis-rights.ts'

/** A setting of the queue's store under which acknowledged events can be lost. */
interface DurabilityProblem {
  setting: string
  found: string
  wanted: string
  why: string
}

interface Durability {
  problems: DurabilityProblem[]
  /** Settings that Redis does not show. Managed services often forbid CONFIG. An operator checks them elsewhere. */
  unknown: { setting: string; wanted: string }[]
}

const WANTED = [
  {
    setting: 'appendonly',
    wanted: 'yes',
    why: 'without the append-only file a crash loses everything since the last snapshot',
  },
  {
    setting: 'appendfsync',
    wanted: 'always',
    why: 'otherwise a crash of the machine loses up to a second of events',
  },
  {
    setting: 'maxmemory-policy',
    wanted: 'noeviction',
    why: 'otherwise Redis deletes queued events when memory is short',
  },
] as const

/**
 * Compares Redis's settings with those that keep acknowledged events safe.
 *
 * @throws the connection's error when Redis does not answer.
 */
export async function checkRedisDurability(redis: Redis): Promise<Durability> {
  const durability: Durability = { problems: [], unknown: [] }
  for (const { setting, wanted, why } of WANTED) {
    const reply: unknown = await unlessForbidden(redis.config('GET', setting))
    const found: unknown = Array.isArray(reply) ? reply[1] : undefined
    if (typeof found !== 'string') durability.unknown.push({ setting, wanted })
    else if (found !== wanted) durability.problems.push({ setting, found, wanted, why })
  }
  return durability
}

/** `appendonly is yes, appendfsync is always`: what to check where Redis does not show its settings. */
export const describeWanted = (settings: readonly { setting: string; wanted: string }[]): string =>
  settings.map(({ setting, wanted }) => `${setting} is ${wanted}`).join(', ')

/**
 * Logs a warning for each setting under which acknowledged events can be lost, and one for those that Redis does not
 * show.
 *
 * @throws ConfigError that names the settings, when `strict`.
 */
export async function warnAboutDurability(redis: Redis, strict: boolean, log: Logger): Promise<void> {
  const { problems, unknown } = await checkRedisDurability(redis)
  for (const { setting, found, wanted, why } of problems) {
    log.warn({ setting, found, wanted }, `REDIS IS NOT DURABLE: set ${setting} to ${wanted}: ${why}`)
  }
  if (unknown.length > 0)
    log.warn(
      { settings: unknown.map(({ setting }) => setting) },
      `Redis does not show its settings to this user. Check that ${describeWanted(unknown)}`,
    )
  if (!strict) return
  const refused = [
    ...problems.map(({ setting, found, wanted }) => `${setting} is ${found}, needs ${wanted}`),
    ...unknown.map(({ setting }) => `does not show ${setting}: allow this user CONFIG GET`),
  ]
  if (refused.length > 0) throw new ConfigError(refused.map((text) => `STRICT_DURABILITY: Redis ${text}`))
}
