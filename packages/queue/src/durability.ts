import { ConfigError } from '@tidings/runtime/env'
import type { Logger } from '@tidings/runtime/log'
import { mastersOf, type RedisConnection } from './open-redis.ts'
import { unlessForbidden, versionOptions } from './redis-rights.ts'
import { answersOf, unlessAway } from './unless-away.ts'
import { waitUntilReady } from './wait-until-ready.ts'

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
 * Compares the settings of Redis, or of each master of a cluster that answers, with those that keep acknowledged events
 * safe.
 *
 * @throws the connection's error when Redis does not answer.
 */
export async function checkRedisDurability(redis: RedisConnection): Promise<Durability> {
  await waitUntilReady(redis)
  const durability: Durability = { problems: [], unknown: [] }
  for (const { setting, wanted, why } of WANTED) {
    const asked = mastersOf(redis).map(async (node) => {
      const reply: unknown = await unlessAway(redis, unlessForbidden(node.config('GET', setting)))
      return Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : undefined
    })
    const found = await answersOf(asked)
    const wrong = found.find((value) => value !== undefined && value !== wanted)
    if (wrong !== undefined) durability.problems.push({ setting, found: wrong, wanted, why })
    else if (found.includes(undefined)) durability.unknown.push({ setting, wanted })
  }
  return durability
}

/** `appendonly is yes, appendfsync is always`: what to check where Redis does not show its settings. */
export const describeWanted = (settings: readonly { setting: string; wanted: string }[]): string =>
  settings.map(({ setting, wanted }) => `${setting} is ${wanted}`).join(', ')

/**
 * Logs a warning for each setting under which acknowledged events can be lost, one for those that Redis does not show,
 * and one where INFO is forbidden.
 *
 * @throws ConfigError that names the settings, when `strict`.
 */
export async function warnAboutDurability(
  redis: RedisConnection,
  strict: boolean,
  log: Logger,
): Promise<void> {
  const { problems, unknown } = await checkRedisDurability(redis)
  for (const { setting, found, wanted, why } of problems) {
    log.warn({ setting, found, wanted }, `REDIS IS NOT DURABLE: set ${setting} to ${wanted}: ${why}`)
  }
  if (unknown.length > 0)
    log.warn(
      { settings: unknown.map(({ setting }) => setting) },
      `Redis does not show its settings to this user. Check that ${describeWanted(unknown)}`,
    )
  if ((await versionOptions(redis)).skipVersionCheck)
    log.warn('Redis lets this user not read INFO: its version and how full its memory is are not checked')
  if (!strict) return
  const refused = [
    ...problems.map(({ setting, found, wanted }) => `${setting} is ${found}, needs ${wanted}`),
    ...unknown.map(({ setting }) => `does not show ${setting}: allow this user CONFIG GET`),
  ]
  if (refused.length > 0) throw new ConfigError(refused.map((text) => `STRICT_DURABILITY: Redis ${text}`))
}
