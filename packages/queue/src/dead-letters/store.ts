import type { DeadLetterEntry, PlacedEntry } from './entry.ts'

export interface PageRequest {
  /** Position of the last entry of the page before; from the start without it. */
  after?: string | undefined
  limit: number
  newestFirst?: boolean
}

/** Jobs of the main queue, over all shards. */
export interface QueueDepth {
  waiting: number
  active: number
  delayed: number
  /** Failed for good and not yet buried. */
  failed: number
  /** When the oldest waiting job was added. */
  oldestWaitingAt: Date | undefined
}

/**
 * The dead letters as operators need them, on either backend. Each call costs the store a bounded amount of
 * work: nothing here walks the whole queue. Whoever names entries names at most MAX_BATCH_BYTES of them, or one.
 */
export interface DeadLetterStore {
  count(): Promise<number>
  /** As dear for many as for none. */
  isEmpty(): Promise<boolean>
  /**
   * A page in the order of burial: as many of `limit` entries as MAX_BATCH_BYTES hold, and none only at the end.
   * Entries added or removed meanwhile never make it skip or repeat others.
   */
  page(request: PageRequest): Promise<PlacedEntry[]>
  /** Which of these entries exist, and how many bytes each takes: asks for little, however large they are. */
  sizes(ids: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Those of these entries that exist, in the order asked for. */
  get(ids: readonly string[]): Promise<DeadLetterEntry[]>
  /**
   * Moves entries back to the main queue in one atomic step: there is no moment at which one is in both
   * queues or in neither. At most MAX_BATCH ids.
   *
   * @param prepare gives the event to enqueue; undefined leaves the entry where it is.
   * @returns the entries that this call moved. One that is missing was moved or deleted by somebody else.
   * @throws RangeError, and moves none, when their envelope is longer than the worker reads.
   */
  requeue(
    ids: readonly string[],
    prepare: (entry: DeadLetterEntry) => unknown | undefined,
  ): Promise<DeadLetterEntry[]>
  /**
   * Deletes entries that are still as they were read; one that was redriven and died again meanwhile is
   * another death, and stays. Returns the ids that this call deleted. At most MAX_BATCH entries.
   */
  discard(entries: readonly DeadLetterEntry[]): Promise<string[]>
  /**
   * Changes what entries hold, each in one atomic step, without moving them. At most MAX_BATCH ids.
   *
   * @param change gives the new content; the id stays.
   * @returns the ids of the entries that were there.
   */
  rewrite(ids: readonly string[], change: (entry: DeadLetterEntry) => DeadLetterEntry): Promise<string[]>
  /** Adds entries as they are; returns the ids that were not there before. At most MAX_BATCH entries. */
  restore(entries: readonly DeadLetterEntry[]): Promise<string[]>
  depth(): Promise<QueueDepth>
  /** Events in the jobs of the main queue; undefined when there are too many jobs to read them all. */
  countQueuedEvents(): Promise<number | undefined>
  close(): Promise<void>
}

/** Walks all entries, oldest burial first, page by page. */
export async function* scanDeadLetters(
  store: Pick<DeadLetterStore, 'page'>,
  options: { pageSize: number; after?: string | undefined; newestFirst?: boolean },
): AsyncGenerator<PlacedEntry[]> {
  let after = options.after
  for (;;) {
    const page = await store.page({
      limit: options.pageSize,
      after,
      ...(options.newestFirst === undefined ? {} : { newestFirst: options.newestFirst }),
    })
    const last = page.at(-1)
    if (last === undefined) return
    yield page
    after = last.position
  }
}

/** Whether one position lies behind another in the order of burial. */
export function isBehind(position: string, other: string): boolean {
  const [a, b] = [position, other].map((text) => text.split('.').map(BigInt))
  for (let i = 0; i < Math.max(a?.length ?? 0, b?.length ?? 0); i++) {
    const [mine, theirs] = [a?.[i] ?? 0n, b?.[i] ?? 0n]
    if (mine !== theirs) return mine > theirs
  }
  return false
}

/** Where the queue ends now: what is buried later lies behind it. Undefined when it is empty. */
export async function lastPosition(store: Pick<DeadLetterStore, 'page'>): Promise<string | undefined> {
  const [newest] = await store.page({ limit: 1, newestFirst: true })
  return newest?.position
}
