import { z } from 'zod'
import type { JobQueue, QueueBackend } from './backend.ts'
import { readOldestWaiting } from './bullmq/oldest-waiting.ts'

/** How long the oldest job of each queue has waited, in milliseconds. 0: none waits. A queue that cannot be read is absent. */
export interface Backlog {
  /** By the name of the shard. */
  events: ReadonlyMap<string, number>
  deadLetters: ReadonlyMap<string, number>
}

/** Reads one job of each queue. */
export async function readBacklog(
  queues: readonly JobQueue<object>[],
  deadLetters: readonly JobQueue<object>[],
  kind: QueueBackend['kind'],
  now = Date.now(),
): Promise<Backlog> {
  const ageOf = async ({ name }: JobQueue<object>, readSince: Promise<number | undefined>) => {
    const since = await readSince.then((time) => time ?? now).catch(() => undefined)
    return since === undefined ? [] : [[name, Math.max(0, now - since)] as const]
  }
  const [events, dead] = await Promise.all([
    Promise.all(queues.map((queue) => ageOf(queue, readOldestWaiting(queue, kind, now)))),
    Promise.all(deadLetters.map((queue) => ageOf(queue, deadSince(queue)))),
  ])
  return { events: new Map(events.flat()), deadLetters: new Map(dead.flat()) }
}

/** An imported dead letter is older than its job. */
async function deadSince(queue: JobQueue<object>): Promise<number | undefined> {
  const [oldest] = await queue.getPrioritized(0, 0)
  const letter = deadLetterSchema.safeParse(oldest?.data)
  return letter.success ? Date.parse(letter.data.dead_at) : oldest?.timestamp
}

const deadLetterSchema = z.object({ dead_at: z.iso.datetime() })
