import type { Provider } from '@tidings/providers/provider'
import { Counter, type Registry } from 'prom-client'

/** Names of event types are text of the provider: more of them than this count as one. */
const MAX_EVENT_TYPES = 50
const OTHER_TYPES = 'other'
const PLAIN_NAME = /^[\w.:-]{1,64}$/

/** Counts what became of the providers' events and requests. */
export class HookMetrics {
  readonly #events: Counter<'provider' | 'outcome'>
  readonly #ignored: Counter<'provider' | 'event_type'>
  readonly #refusals: Counter<'provider' | 'reason'>
  readonly #eventTypes = new Map<Provider, Set<string>>()

  constructor(registry: Registry) {
    const registers = [registry]
    this.#events = new Counter({
      name: 'tidings_hook_events_total',
      help: 'Events of providers: accepted, ignored (without a status), or invalid (a dead letter).',
      labelNames: ['provider', 'outcome'],
      registers,
    })
    this.#ignored = new Counter({
      name: 'tidings_hook_ignored_events_total',
      help: 'Events of providers that have no status, by the type that the provider names.',
      labelNames: ['provider', 'event_type'],
      registers,
    })
    this.#refusals = new Counter({
      name: 'tidings_hook_refusals_total',
      help: 'Requests to hooks that were not verified, by reason.',
      labelNames: ['provider', 'reason'],
      registers,
    })
  }

  countEvents(provider: Provider, outcome: 'accepted' | 'ignored' | 'invalid', events: number): void {
    if (events > 0) this.#events.inc({ provider, outcome }, events)
  }

  countIgnored(provider: Provider, eventType: string): void {
    this.#ignored.inc({ provider, event_type: this.#labelOf(provider, eventType) })
  }

  countRefusal(provider: Provider, reason: string): void {
    this.#refusals.inc({ provider, reason })
  }

  #labelOf(provider: Provider, eventType: string): string {
    const known = this.#eventTypes.get(provider) ?? new Set()
    this.#eventTypes.set(provider, known)
    if (known.has(eventType)) return eventType
    if (known.size >= MAX_EVENT_TYPES || !PLAIN_NAME.test(eventType)) return OTHER_TYPES
    known.add(eventType)
    return eventType
  }
}
