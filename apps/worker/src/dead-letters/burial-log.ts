import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { deadLetterId } from '@tidings/queue/dead-letters/entry-id'
import { fingerprintOf } from '@tidings/queue/dead-letters/fingerprint'
import type { Logger } from '@tidings/runtime/log'

/** Burials are gathered for this long, in milliseconds. */
const GATHER_MS = 1_000
/** Most lines for one second. Errors that nothing makes alike could flood the log. */
const MAX_LINES = 20

interface BuriedGroup {
  reason: string
  code: string
  fingerprint: string
  events: number
  /** The id of one of its dead letters. */
  sample: string
}

/** Logs which dead letters were written: one line a group and second. Never an error's text, which may quote data. */
export class BurialLog {
  readonly #log: Logger
  readonly #groups = new Map<string, BuriedGroup>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  record(buried: readonly FailedEvent[]): void {
    for (const failed of buried) {
      const { reason, error } = failed
      const fingerprint = fingerprintOf(reason, error)
      const group = this.#groups.get(fingerprint)
      if (group !== undefined) group.events++
      else {
        const sample = deadLetterId(failed)
        this.#groups.set(fingerprint, { reason, code: error.code, fingerprint, events: 1, sample })
      }
    }
    if (buried.length > 0) this.#timer ??= setTimeout(() => this.flush(), GATHER_MS)
  }

  /** Logs what was gathered, now. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const groups = [...this.#groups.values()]
    this.#groups.clear()
    for (const group of groups.slice(0, MAX_LINES)) this.#log.warn(group, 'dead letters written')
    const others = groups.slice(MAX_LINES)
    if (others.length === 0) return
    const events = others.reduce((sum, group) => sum + group.events, 0)
    this.#log.warn({ groups: others.length, events }, 'more dead letters written')
  }
}
