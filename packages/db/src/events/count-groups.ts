import type { StatusEvent } from '@tidings/shared/status-event'

/** In place of further names, when a source uses too many. */
export const OTHER = 'other'

/** Sources, and pairs of provider and category of one source, that a process counts by name within an hour. */
const MAX_SOURCES = 500
const MAX_PAIRS = 100

const HOUR_MS = 3_600_000

interface CountedNames {
  source: string
  provider: string
  category: string
}

/** The events of one statement that one row of status_counts counts. An empty text: the event has no such value. */
interface CountGroup extends CountedNames {
  hour: string
  notification_type: string
  status: string
  error_class: string
  events: number
}

/**
 * Assigns events to the rows of status_counts that count them. Producers choose providers, categories and, on the
 * queue, sources. So that none can fill the table, only the first names of an hour count by name and the rest as
 * `other`. Each source has its own limit: one cannot displace the names of another.
 */
export class CountGroups {
  readonly #now: () => number
  #hour = Number.NaN
  #pairs = new Map<string, Set<string>>()

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /**
   * @returns the groups in an order that is the same for all writers, and for each event the index of its group.
   */
  assign(events: readonly StatusEvent[]): { groups: CountGroup[]; indexes: number[] } {
    this.#forgetLastHour()
    const groups = new Map<string, CountGroup>()
    const keys = events.map((event) => {
      const group = this.#groupOf(event)
      const key = Object.values(group).join('\0')
      const known = groups.get(key)
      if (known) known.events++
      else groups.set(key, { ...group, events: 1 })
      return key
    })
    const ordered = [...groups.keys()].sort()
    const places = new Map(ordered.map((key, index) => [key, index]))
    return {
      groups: ordered.flatMap((key) => groups.get(key) ?? []),
      indexes: keys.map((key) => places.get(key) ?? 0),
    }
  }

  #forgetLastHour(): void {
    const hour = Math.floor(this.#now() / HOUR_MS)
    if (hour === this.#hour) return
    this.#hour = hour
    this.#pairs = new Map()
  }

  #groupOf(event: StatusEvent): Omit<CountGroup, 'events'> {
    const { notification_type, status, error } = event
    return {
      hour: startOfHour(event.received_at),
      notification_type,
      status,
      ...this.#limitNames(event.source, event.provider ?? '', event.category ?? ''),
      error_class: typeof error === 'object' ? (error.class ?? '') : '',
    }
  }

  #limitNames(source: string, provider: string, category: string): CountedNames {
    const known = this.#pairs.get(source)
    if (known === undefined && source !== OTHER && this.#pairs.size >= MAX_SOURCES)
      return this.#limitNames(OTHER, provider, category)
    const pairs = known ?? new Set<string>()
    if (known === undefined) this.#pairs.set(source, pairs)
    const pair = `${provider}\0${category}`
    if (!pairs.has(pair)) {
      if (pairs.size >= MAX_PAIRS && pair !== '\0') return { source, provider: OTHER, category: OTHER }
      pairs.add(pair)
    }
    return { source, provider, category }
  }
}

/** Every hour has one spelling: two groups of one statement must not be the same row. */
const startOfHour = (time: string): string =>
  `${(time.endsWith('Z') ? time : new Date(Date.parse(time)).toISOString()).slice(0, 13)}:00:00Z`
