import { z } from 'zod'
import { nodeOf, type RedisConnection } from '../open-redis.ts'

/*
 * Jobs that a BullMQ 5 client left where BullMQ 6 does not look. BullMQ 5 pauses a queue by renaming the list `wait` to
 * `paused`, and resumes it by renaming it back. A rename replaces the other list: its jobs are then in no list, and only
 * their hashes are left. UPGRADING.md lists what to check for each new version of BullMQ.
 */

/** Most jobs that one script moves: it bounds how long Redis is busy. */
const MAX_MOVED = 1_000

// KEYS: paused, wait, marker, meta. ARGV: the most jobs to move. Workers take jobs from the end of `wait`.
const DRAIN_PAUSED = `
local jobs = redis.call('LRANGE', KEYS[1], -tonumber(ARGV[1]), -1)
if #jobs == 0 then return 0 end
redis.call('RPUSH', KEYS[2], unpack(jobs))
redis.call('LTRIM', KEYS[1], 0, -(#jobs + 1))
if redis.call('HEXISTS', KEYS[4], 'paused') == 0 then redis.call('ZADD', KEYS[3], 0, '0') end
return #jobs`

/**
 * Moves all jobs of the list `paused` to the list `wait`. While the queue is paused, workers leave them there.
 *
 * @param keyPrefix start of the queue's keys, such as `tidings:status-events:`
 * @returns how many it moved.
 */
export async function drainPausedList(redis: RedisConnection, keyPrefix: string): Promise<number> {
  const keys = ['paused', 'wait', 'marker', 'meta'].map((name) => keyPrefix + name)
  let total = 0
  for (;;) {
    const moved = z.int().parse(await redis.eval(DRAIN_PAUSED, keys.length, ...keys, MAX_MOVED))
    total += moved
    if (moved < MAX_MOVED) return total
  }
}

const LISTS = ['wait', 'paused', 'active']
const SORTED_SETS = ['delayed', 'prioritized', 'completed', 'failed', 'waiting-children']

// KEYS: the LISTS, the SORTED_SETS, marker, meta. ARGV: the prefix, `restore` or `count`, then ids. A job has all these
// fields.
const RESTORE = `
local found = 0
for i = 3, #ARGV do
  local fields = redis.call('HMGET', ARGV[1] .. ARGV[i], 'name', 'data', 'opts', 'timestamp')
  local lost = fields[1] and fields[2] and fields[3] and fields[4]
  for place = 1, ${LISTS.length + SORTED_SETS.length} do
    local find = place <= ${LISTS.length} and 'LPOS' or 'ZSCORE'
    lost = lost and not redis.call(find, KEYS[place], ARGV[i])
  end
  if lost then
    found = found + 1
    if ARGV[2] == 'restore' then redis.call('RPUSH', KEYS[1], ARGV[i]) end
  end
end
local marker, meta = KEYS[#KEYS - 1], KEYS[#KEYS]
local wake = found > 0 and ARGV[2] == 'restore' and redis.call('HEXISTS', meta, 'paused') == 0
if wake then redis.call('ZADD', marker, 0, '0') end
return found`

/** Most ids checked in one script: it searches every list for each. */
const MAX_CHECKED = 100

/** Puts jobs that are in no list back into `wait`. @returns how many it put back. */
export const restoreLostJobs = (redis: RedisConnection, keyPrefix: string): Promise<number> =>
  checkJobs(redis, keyPrefix, 'restore')

/** The number of jobs that are in no list. */
export const countLostJobs = (redis: RedisConnection, keyPrefix: string): Promise<number> =>
  checkJobs(redis, keyPrefix, 'count')

/** Checks each job again inside a script: a job that only changes its list meanwhile is not lost. */
async function checkJobs(
  redis: RedisConnection,
  keyPrefix: string,
  action: 'restore' | 'count',
): Promise<number> {
  const lost = await findLostJobs(redis, keyPrefix)
  const keys = [...LISTS, ...SORTED_SETS, 'marker', 'meta'].map((name) => keyPrefix + name)
  let found = 0
  for (let start = 0; start < lost.length; start += MAX_CHECKED) {
    const ids = lost.slice(start, start + MAX_CHECKED)
    found += z.int().parse(await redis.eval(RESTORE, keys.length, ...keys, keyPrefix, action, ...ids))
  }
  return found
}

/** The ids of jobs that are in no list. It reads key by key, so it may name one that just changed its list. */
async function findLostJobs(redis: RedisConnection, keyPrefix: string): Promise<string[]> {
  const ids = new Set<string>()
  const match = `${keyPrefix.replace(/[[\]*?\\^]/g, '\\$&')}*`
  for await (const batch of nodeOf(redis, keyPrefix).scanStream({ match, type: 'hash', count: SCAN_COUNT }))
    for (const key of z.array(z.string()).parse(batch)) ids.add(key.slice(keyPrefix.length))
  const listed = await Promise.all([
    ...LISTS.map((name) => redis.lrange(keyPrefix + name, 0, -1)),
    ...SORTED_SETS.map((name) => redis.zrange(keyPrefix + name, '0', '-1')),
  ])
  for (const id of listed.flat()) ids.delete(id)
  for (const name of NO_JOBS) ids.delete(name)
  return [...ids]
}

const SCAN_COUNT = 1_000
/** Hashes of a queue that are no jobs. */
const NO_JOBS = ['meta']
