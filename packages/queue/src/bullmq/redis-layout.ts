/** Where BullMQ keeps a queue's jobs in Redis: lists and sets, relative to the queue's prefix. An empty one is no key. */
export const REDIS_STATE_KEYS = ['wait', 'paused', 'active', 'delayed', 'prioritized', 'failed']

/** The sorted set of jobs with a priority, scored in the order in which they were added. Dead letters are in it. */
export const REDIS_PRIORITIZED_KEY = 'prioritized'
