import type { PlacedEntry } from './entry.ts'
import type { DeadLetterPart, DeadLetterStore } from './store.ts'

/** An entry, and the number of the part of the store that holds it. */
export interface ScannedEntry extends PlacedEntry {
  part: number
}

interface ScanOptions {
  pageSize: number
  /** For each part: the position to begin after. */
  after?: readonly (string | undefined)[] | undefined
  /** For each part: the last position to read; undefined for none. Without it, each is read to its end. */
  until?: readonly (string | undefined)[]
  newestFirst?: boolean
}

/**
 * Walks through the entries page by page in the order of burial, the oldest first unless `newestFirst` is set. Several
 * parts are merged by the time of burial.
 */
export async function* scanDeadLetters(
  { parts }: Pick<DeadLetterStore, 'parts'>,
  options: ScanOptions,
): AsyncGenerator<ScannedEntry[]> {
  const scans = parts.map((part, index) => scanPart(part, index, options))
  // Entries of the same millisecond follow the order of the parts; newest first is the exact reverse.
  if (options.newestFirst) scans.reverse()
  const [only] = scans
  if (only !== undefined && scans.length === 1) return yield* only
  const precedes = (a: ScannedEntry, b: ScannedEntry) =>
    options.newestFirst ? a.entry.dead_at > b.entry.dead_at : a.entry.dead_at < b.entry.dead_at
  const heads = (await Promise.all(scans.map(readHead))).filter((head) => head !== undefined)
  while (heads.length > 0) {
    const page: ScannedEntry[] = []
    let first: Head
    do {
      first = heads.reduce((best, head) => (precedes(head.entries[0], best.entries[0]) ? head : best))
      page.push(first.entries.shift() as ScannedEntry)
    } while (first.entries.length > 0 && page.length < options.pageSize)
    yield page
    if (first.entries.length > 0) continue
    const next = await readHead(first.scan)
    heads.splice(heads.indexOf(first), 1, ...(next === undefined ? [] : [next]))
  }
}

/** The entries of a part that come next. */
interface Head {
  scan: AsyncGenerator<ScannedEntry[]>
  entries: [ScannedEntry, ...ScannedEntry[]]
}

async function readHead(scan: AsyncGenerator<ScannedEntry[]>): Promise<Head | undefined> {
  const { value, done } = await scan.next()
  return done ? undefined : { scan, entries: value as Head['entries'] }
}

async function* scanPart(
  part: DeadLetterPart,
  index: number,
  { pageSize, after, until, newestFirst = false }: ScanOptions,
): AsyncGenerator<ScannedEntry[]> {
  const end = until?.[index]
  if (until !== undefined && end === undefined) return
  let from = after?.[index]
  for (;;) {
    const page = await part.page({ limit: pageSize, after: from, newestFirst })
    from = page.at(-1)?.position
    if (from === undefined) return
    const wanted = end === undefined ? page : page.filter(({ position }) => !isAfter(position, end))
    if (wanted.length > 0) yield wanted.map((placed) => ({ ...placed, part: index }))
    if (wanted.length < page.length) return
  }
}

/** Whether a position is later than another in the order of burial. */
function isAfter(position: string, other: string): boolean {
  const [a, b] = [position, other].map((text) => text.split('.').map(BigInt))
  for (let i = 0; i < Math.max(a?.length ?? 0, b?.length ?? 0); i++) {
    const [mine, theirs] = [a?.[i] ?? 0n, b?.[i] ?? 0n]
    if (mine !== theirs) return mine > theirs
  }
  return false
}

/** For each part the position of its newest entry: what is buried later comes after it. Undefined when it has none. */
export const lastPositions = ({ parts }: Pick<DeadLetterStore, 'parts'>): Promise<(string | undefined)[]> =>
  Promise.all(parts.map(async (part) => (await part.page({ limit: 1, newestFirst: true }))[0]?.position))
