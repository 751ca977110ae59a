import { isClusterUrl } from '@tidings/runtime/redis-url'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from './policy.ts'

/*
 * The names of the queues, and the prefixes of their keys. All keys of one queue are in one slot of a Redis Cluster,
 * because their prefix holds a hash tag. A shard and its dead-letter queue share a tag, so that one transaction moves
 * jobs between them. On a single Redis there are no tags and there is one dead-letter queue, whatever the number of
 * shards.
 */

/** What the names depend on of a QueueBackend. */
interface Store {
  kind: 'redis' | 'postgres'
  url: string
}

/**
 * The hash tag of each shard. They are chosen so that any number of shards spreads evenly over 1 to 6 masters that
 * own equal ranges of slots: no master has two shards more than another. Never change one: its jobs would be lost.
 */
const HASH_TAGS: readonly string[] = (
  '0j 1aq 2dc 3ee 4p 5d 6d 7az 8ad 9ai 10a 11aa 12c 13ac 14bk 15v 16r 17ar 18dd 19ev 20d 21a 22da 23b 24bc 25az ' +
  '26aa 27ah 28a 29d 30c 31s 32bc 33ac 34d 35p 36aa 37bi 38eg 39i 40dy 41bw 42q 43h 44a 45bl 46u 47a 48s 49ba ' +
  '50d 51ah 52af 53c 54de 55dl 56c 57dt 58ab 59d 60ap 61dc 62ba 63aa'
).split(' ')

export const isCluster = (backend: Store): boolean => backend.kind === 'redis' && isClusterUrl(backend.url)

const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => (index === 0 ? name : `${name}-${index}`))

/** The shards of the main queue. */
export const shardNames = (shards: number): string[] => numbered(STATUS_QUEUE, shards)

/** The dead-letter queues: one, or one for each shard on a cluster. */
export const deadLetterNames = (backend: Store, shards: number): string[] =>
  numbered(DEAD_LETTER_QUEUE, isCluster(backend) ? shards : 1)

export const isDeadLetterName = (name: string): boolean => name.startsWith(DEAD_LETTER_QUEUE)

/** The prefix of a queue's keys, before `:` and its name. */
export function keyPrefixOf(backend: Store & { prefix: string }, queue: string): string {
  if (!isCluster(backend)) return backend.prefix
  const shard = Number(/-(\d+)$/.exec(queue)?.[1] ?? 0)
  return `${backend.prefix}:{${HASH_TAGS[shard]}}`
}
