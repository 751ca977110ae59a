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
    // Most events of a batch have the names of an earlier one: one look-up for each, which is measurable.
    const byNames = new Map<string, CountGroup>()
    const assigned = events.map((event) => {
      const names = keyOf(toGroup(event))
      const group = byNames.get(names) ?? this.#findGroup(groups, event)
      byNames.set(names, group)
      group.events++
      return group
    })
    const ordered = [...groups.keys()].sort().flatMap((key) => groups.get(key) ?? [])
    const places = new Map(ordered.map((group, place) => [group, place]))
    return { groups: ordered, indexes: assigned.map((group) => places.get(group) ?? 0) }
  }

  #findGroup(groups: Map<string, CountGroup>, event: StatusEvent): CountGroup {
    const group = toGroup(event)
    const limited = { ...group, ...this.#limitNames(group.source, group.provider, group.category) }
    const key = keyOf(limited)
    const known = groups.get(key) ?? limited
    groups.set(key, known)
    return known
  }

  #forgetLastHour(): void {
    const hour = Math.floor(this.#now() / HOUR_MS)
    if (hour === this.#hour) return
    this.#hour = hour
    this.#pairs = new Map()
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

const toGroup = (event: StatusEvent): CountGroup => ({
  hour: startOfHour(event.received_at),
  notification_type: event.notification_type,
  status: event.status,
  source: event.source,
  provider: event.provider ?? '',
  category: event.category ?? '',
  error_class: typeof event.error === 'object' ? (event.error.class ?? '') : '',
  events: 0,
})

/** No text of an event holds NUL. */
const keyOf = (group: CountGroup): string =>
  `${group.hour}\0${group.notification_type}\0${group.status}\0${group.source}\0${group.provider}\0${group.category}\0${group.error_class}`

/** Every hour has one spelling: two groups of one statement must not be the same row. */
const startOfHour = (time: string): string =>
  `${(time.endsWith('Z') ? time : new Date(Date.parse(time)).toISOString()).slice(0, 13)}:00:00Z`
