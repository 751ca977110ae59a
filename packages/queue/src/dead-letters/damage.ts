import { z } from 'zod'
import type { JobQueue } from '../backend.ts'
import {
  REDIS_PRIORITIZED_KEY,
  REDIS_PRIORITY_COUNTER_KEY,
  REDIS_PRIORITY_FACTOR,
} from '../bullmq/redis-layout.ts'
import { nodeOf, type RedisConnection } from '../open-redis.ts'
import { DEAD_LETTER_JOB_OPTIONS } from '../policy.ts'
import { SCAN_PAGE } from './entry.ts'

/**
 * A dead letter in Redis is two keys' worth: its content in a hash, and its place in a sorted set. Another program, or
 * Redis itself after a restore, may have only one of them.
 * - `no_content`: it is counted, and there is nothing to show or redrive. The event is lost.
 * - `no_place`: no list shows it, and the event counts as dead-lettered already.
 * - `other_type`: a key of another type stands where its hash belongs.
 */
export interface DamagedDeadLetter {
  id: string
  damage: 'no_content' | 'no_place' | 'other_type'
}

/**
 * Says what is damaged about one dead letter, and mends it when ARGV[4] is 1: gives a hash the last place, or removes
 * a place without content. A key of another type stays: somebody else wrote it.
 */
const EXAMINE = `local kind = redis.call('TYPE', KEYS[1]).ok
local placed = redis.call('ZSCORE', KEYS[2], ARGV[1])
local mends = ARGV[4] == '1'
if kind ~= 'hash' and kind ~= 'none' then return 'other_type' end
if redis.call('HEXISTS', KEYS[1], 'data') == 0 then
  if not placed and kind == 'none' then return '' end
  if mends then
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('DEL', KEYS[1])
  end
  return 'no_content'
end
if placed then return '' end
if mends then
  local counter = redis.call('INCR', KEYS[3]) % ARGV[3]
  redis.call('ZADD', KEYS[2], ARGV[2] * ARGV[3] + counter, ARGV[1])
end
return 'no_place'`
const examined = z.enum(['', 'no_content', 'no_place', 'other_type'])

/** Reads every id and every key of the dead letters once. */
export async function findDamage(
  redis: RedisConnection,
  dead: JobQueue<object>,
): Promise<DamagedDeadLetter[]> {
  const hashes = await scanIds(redis, dead, 'hash')
  const suspects = new Set<string>()
  for (const id of await scanIds(redis, dead)) if (!hashes.has(id)) suspects.add(id)
  for await (const batch of redis.zscanStream(dead.toKey(REDIS_PRIORITIZED_KEY), { count: SCAN_PAGE })) {
    for (const id of idsOf.parse(batch)) if (!hashes.delete(id)) suspects.add(id)
  }
  for (const id of hashes) suspects.add(id)
  return examineAll(redis, dead, suspects, false)
}

/** Mends what `findDamage` found. @returns what was damaged still, and is mended unless it is `other_type`. */
export const mendDamage = (
  redis: RedisConnection,
  dead: JobQueue<object>,
  damaged: readonly DamagedDeadLetter[],
): Promise<DamagedDeadLetter[]> => examineAll(redis, dead, new Set(damaged.map(({ id }) => id)), true)

/** ZSCAN answers with members and scores in turn. */
const idsOf = z.array(z.string()).transform((items) => items.filter((_, index) => index % 2 === 0))

/** The ids that keys of dead letters name. Other keys of the queue have other names, such as `meta`. */
async function scanIds(redis: RedisConnection, dead: JobQueue<object>, type?: 'hash'): Promise<Set<string>> {
  const start = dead.toKey('')
  const ids = new Set<string>()
  const options = { match: `${start}dead-*`, count: SCAN_PAGE, ...(type && { type }) }
  for await (const batch of nodeOf(redis, start).scanStream(options)) {
    for (const key of z.array(z.string()).parse(batch)) {
      const id = key.slice(start.length)
      // With a colon it is a part of a job, such as its lock.
      if (!id.includes(':')) ids.add(id)
    }
  }
  return ids
}

/** The walk is no snapshot: entries come and go meanwhile. The script sees each one whole. */
async function examineAll(
  redis: RedisConnection,
  dead: JobQueue<object>,
  ids: ReadonlySet<string>,
  mends: boolean,
): Promise<DamagedDeadLetter[]> {
  const found: DamagedDeadLetter[] = []
  for (const id of ids) {
    const keys = [id, REDIS_PRIORITIZED_KEY, REDIS_PRIORITY_COUNTER_KEY].map((key) => dead.toKey(key))
    const priority = DEAD_LETTER_JOB_OPTIONS.priority
    const answer = await redis.eval(
      EXAMINE,
      keys.length,
      ...keys,
      id,
      priority,
      REDIS_PRIORITY_FACTOR,
      mends ? 1 : 0,
    )
    const damage = examined.parse(answer)
    if (damage !== '') found.push({ id, damage })
  }
  return found
}
