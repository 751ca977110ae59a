import { ConfigError } from '@tidings/runtime/env'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import { type Redis, ReplyError } from 'ioredis'

/** A setting of the queue's store under which acknowledged events can be lost. */
export interface DurabilityProblem {
  setting: string
  found: string
  wanted: string
  why: string
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
 * @returns the settings that differ. A setting that Redis does not show counts as different.
 * @throws the connection's error when Redis does not answer.
 */
export async function checkRedisDurability(redis: Redis): Promise<DurabilityProblem[]> {
  const problems: DurabilityProblem[] = []
  for (const { setting, wanted, why } of WANTED) {
    const found = await readSetting(redis, setting)
    if (found !== wanted) problems.push({ setting, found, wanted, why })
  }
  return problems
}

async function readSetting(redis: Redis, setting: string): Promise<string> {
  try {
    const reply: unknown = await redis.config('GET', setting)
    return Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : 'unknown'
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    // Managed Redis services often forbid CONFIG. An operator then has to check the setting elsewhere.
    return `unknown (${errorMessage(error)})`
  }
}

/**
 * Logs a warning for each setting under which acknowledged events can be lost.
 *
 * @throws ConfigError that names the settings, when `strict`.
 */
export async function warnAboutDurability(redis: Redis, strict: boolean, log: Logger): Promise<void> {
  const problems = await checkRedisDurability(redis)
  for (const { setting, found, wanted, why } of problems) {
    log.warn({ setting, found, wanted }, `REDIS IS NOT DURABLE: set ${setting} to ${wanted}: ${why}`)
  }
  if (strict && problems.length > 0) {
    const list = problems.map(({ setting, found, wanted }) => `${setting} is ${found}, needs ${wanted}`)
    throw new ConfigError(list.map((text) => `STRICT_DURABILITY: Redis ${text}`))
  }
}
