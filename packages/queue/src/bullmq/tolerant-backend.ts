import { type JobJson, RedisQueueBackend, raw2NextJobData } from 'bullmq'
import { z } from 'zod'

/** Of a job's hash, what BullMQ parses as JSON whenever it meets the job, and what no event needs. */
const JSON_FIELDS = ['opts', 'progress', 'parent']

/** BullMQ's scripts that answer with a job that they gave out. */
const GIVES_OUT = new Set(['moveToActive', 'moveToFinished', 'moveToDelayed'])
/** The answer: the job's hash as a list of names and values, its id, and more. */
const givenOutSchema = z.tuple([z.array(z.string()), z.string()]).rest(z.unknown())

/**
 * Makes BullMQ's backend leave out fields that a producer who writes to Redis by hand filled with something else than
 * JSON. BullMQ would start such a job for ever, and read no page of jobs that holds one.
 */
export function readLeniently(backend: unknown): void {
  if (!(backend instanceof RedisQueueBackend)) return
  const redis = backend
  const getJobData = redis.getJobData.bind(redis)
  const execCommand: (...args: Parameters<typeof redis.execCommand>) => unknown =
    redis.execCommand.bind(redis)

  redis.getJobData = async (id) => {
    try {
      return await getJobData(id)
    } catch {
      const client = await redis.client
      const hash = Object.entries(await client.hgetall(redis.toKey(id)))
      if (hash.length === 0) return undefined
      const readable = hash.filter(([name, value]) => isReadable(name, value))
      const [job]: (JobJson | undefined)[] = raw2NextJobData([readable.flat(), id])
      return job
    }
  }

  redis.execCommand = (client, name, args) => {
    const answer = execCommand(client, name, args)
    return GIVES_OUT.has(name) ? Promise.resolve(answer).then(leaveOut) : answer
  }

  async function leaveOut(answer: unknown): Promise<unknown> {
    const givenOut = givenOutSchema.safeParse(answer)
    if (!givenOut.success) return answer
    const [hash, id, ...rest] = givenOut.data
    const unreadable = hash.filter((name, n) => n % 2 === 0 && !isReadable(name, hash[n + 1] ?? ''))
    if (unreadable.length === 0) return answer
    // In the store too: the scripts that end the run parse some of them as well.
    await (await redis.client).hdel(redis.toKey(id), ...unreadable)
    return [hash.filter((_, n) => !unreadable.includes(hash[n - (n % 2)] ?? '')), id, ...rest]
  }
}

function isReadable(name: string, value: string): boolean {
  if (!JSON_FIELDS.includes(name)) return true
  try {
    const parsed: unknown = JSON.parse(value)
    return name !== 'opts' || (typeof parsed === 'object' && parsed !== null)
  } catch {
    return false
  }
}
