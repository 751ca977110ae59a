/** Where BullMQ keeps a queue's jobs in Redis: lists and sets, relative to the queue's prefix. An empty one is no key. */
export const REDIS_STATE_KEYS = ['wait', 'paused', 'active', 'delayed', 'prioritized', 'failed']

/**
 * The sorted set of jobs with a priority. A score joins the priority and a counter, so scores are unique and follow the
 * order of adding. Dead letters are in this set.
 */
export const REDIS_PRIORITIZED_KEY = 'prioritized'

/** The counter in the scores of `prioritized`. */
export const REDIS_PRIORITY_COUNTER_KEY = 'pc'

/** A score is the priority times this, and the counter. */
export const REDIS_PRIORITY_FACTOR = 2 ** 32
