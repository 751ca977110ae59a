import { errorMessage } from '@tidings/shared/errors'
import { ReplyError } from 'ioredis'
import { mastersOf, type RedisConnection } from './open-redis.ts'
import { firstAnswer, unlessAway } from './unless-away.ts'

/** Undefined when Redis refuses the command: the user lacks the right, or a managed service removed the command. */
export async function unlessForbidden<Result>(command: Promise<Result>): Promise<Result | undefined> {
  try {
    return await command
  } catch (error) {
    if (error instanceof ReplyError && /^(NOPERM|ERR unknown (command|subcommand))/.test(errorMessage(error)))
      return undefined
    throw error
  }
}

/**
 * Options of BullMQ for this connection. It reads Redis's version with INFO, and never becomes ready where that is
 * forbidden. Without the version it uses what every Redis since 5.0 can do.
 *
 * @param redis a ready connection.
 */
export async function versionOptions(
  redis: RedisConnection | undefined,
): Promise<{ skipVersionCheck: boolean }> {
  if (redis === undefined) return { skipVersionCheck: false }
  return { skipVersionCheck: (await readServerInfo(redis)) === undefined }
}

/** INFO of the server, or of one master of a cluster that answers; undefined when Redis forbids it. */
export const readServerInfo = (redis: RedisConnection): Promise<string | undefined> =>
  firstAnswer(mastersOf(redis).map((node) => unlessAway(redis, unlessForbidden(node.info('server')))))
