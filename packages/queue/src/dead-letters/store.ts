import type { QueueDepth } from '../queue-depth.ts'
import type { DamagedDeadLetter } from './damage.ts'
import type { DeadLetterEntry, PlacedEntry } from './entry.ts'

export interface PageRequest {
  /** Position of the last entry of the previous page; without it, the page starts at the beginning. */
  after?: string | undefined
  limit: number
  newestFirst?: boolean
}

/** Gives the event to enqueue for an entry; undefined leaves the entry where it is. */
export type PrepareEvent = (entry: DeadLetterEntry) => unknown | undefined

/** Entries with one order of burial. */
export interface DeadLetterPart {
  /**
   * A page in the order of burial: at most `limit` entries and MAX_BATCH_BYTES, or one larger entry. It is empty only
   * at the end. Entries that others add or remove between two pages never make a walk skip or repeat entries.
   */
  page(request: PageRequest): Promise<PlacedEntry[]>
}

/**
 * The dead letters as operators need them, on either backend. Each call but `findByEvent` costs the store a bounded
 * amount of work. A caller passes entries of at most MAX_BATCH_BYTES together, or one larger entry; `sizes` has no
 * such limit.
 */
export interface DeadLetterStore {
  count(): Promise<number>
  /** Where the entries are: in one place, or in one for each shard on a Redis Cluster. See scanDeadLetters. */
  readonly parts: readonly DeadLetterPart[]
  /**
   * The dead-letter queues that could not be read when the store was opened: the master of their shard is away. Their
   * entries are left out of everything, and none can be added to them. Empty unless `skipAway` was set.
   */
  readonly away: readonly string[]
  /** Which of these entries exist, with their sizes in bytes. Cheap, however large they are. */
  sizes(ids: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** The ids of all entries of these events. Reads every id once. */
  findByEvent(eventIds: ReadonlySet<string>): Promise<string[]>
  /** Returns the existing entries in the order of the ids. */
  get(ids: readonly string[]): Promise<DeadLetterEntry[]>
  /**
   * Moves entries back to a shard of the main queue: an entry is never in both queues or in neither. It is one atomic
   * step; on a cluster one for each shard.
   *
   * @returns the entries that this call moved. It leaves out entries that do not exist, and those that `prepare`
   *   keeps.
   * @throws RangeError, and moves none, for more than MAX_BATCH ids or an envelope longer than the worker reads.
   */
  requeue(ids: readonly string[], prepare: PrepareEvent): Promise<DeadLetterEntry[]>
  /**
   * Deletes the entries whose `dead_at` is unchanged. An entry that was redriven and buried again stays. At most
   * MAX_BATCH entries.
   *
   * @returns the ids that this call deleted.
   */
  discard(entries: readonly DeadLetterEntry[]): Promise<string[]>
  /**
   * Changes entries in place, in one atomic step; on a cluster one for each shard. At most MAX_BATCH ids.
   *
   * @param change gives the new content; the id stays.
   * @returns the ids of the entries that exist.
   */
  rewrite(ids: readonly string[], change: (entry: DeadLetterEntry) => DeadLetterEntry): Promise<string[]>
  /** Adds entries as they are. At most MAX_BATCH. @returns the ids that did not exist before. */
  restore(entries: readonly DeadLetterEntry[]): Promise<string[]>
  /** Dead letters without their content or their place. Reads every id once. None on PostgreSQL. */
  findDamage(): Promise<DamagedDeadLetter[]>
  /** Mends dead letters that `findDamage` found. @returns those that were damaged still. */
  mendDamage(damaged: readonly DamagedDeadLetter[]): Promise<DamagedDeadLetter[]>
  depth(): Promise<QueueDepth>
  /** Workers that are connected to the shard with the fewest; undefined when the store does not show that, or not all of it answers. */
  countWorkers(): Promise<number | undefined>
  /** Events in the jobs of the main queue; undefined when there are too many jobs to read them all. */
  countQueuedEvents(): Promise<number | undefined>
  close(): Promise<void>
}
