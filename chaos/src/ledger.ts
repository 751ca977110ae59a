/** What the client knows about an event that it sent. */
export type Knowledge =
  /** Answered with 2xx: a store must have it. */
  | 'acknowledged'
  /** No final answer: a store may have it, once. */
  | 'in doubt'
  /** Refused with 4xx: no store may have it. */
  | 'refused'

/** The store in which the event should end. */
export type ExpectedOutcome = 'row' | 'dead letter' | 'either'

export interface LedgerEntry {
  /** Unique for each event of a run. The row or dead letter has it too. */
  notificationId: string
  expected: ExpectedOutcome
  knowledge: Knowledge
}

/** The client's record of the events that it sent. It alone decides which events are lost. */
export class Ledger {
  readonly entries = new Map<string, LedgerEntry>()
  readonly #answers = new Map<string, number>()
  #posts = 0
  /** Of each post, in milliseconds. */
  readonly #latencies: number[] = []

  send(notificationId: string, expected: ExpectedOutcome = 'row'): void {
    if (this.entries.has(notificationId)) return
    this.entries.set(notificationId, { notificationId, expected, knowledge: 'in doubt' })
  }

  learn(notificationId: string, knowledge: Knowledge): void {
    const entry = this.entries.get(notificationId)
    // An acknowledgement is final, even if the API refuses a later repeat.
    if (entry && entry.knowledge !== 'acknowledged') entry.knowledge = knowledge
  }

  /** @param kind the status code, or `reset`, `reset when new`, `timeout` and the like. */
  recordAnswer(kind: string, latencyMs: number): void {
    this.#answers.set(kind, this.answered(kind) + 1)
    this.#posts++
    this.#latencies.push(latencyMs)
  }

  acknowledged(): string[] {
    return [...this.entries.values()]
      .filter((entry) => entry.knowledge === 'acknowledged')
      .map((entry) => entry.notificationId)
  }

  /** How many posts had each answer. */
  answers(): ReadonlyMap<string, number> {
    return this.#answers
  }

  answered(kind: string): number {
    return this.#answers.get(kind) ?? 0
  }

  /** Share of the posts that got a 202, between 0 and 1. */
  get acceptedShare(): number {
    return this.answered('202') / this.#posts
  }

  get slowestMs(): number {
    return this.percentileMs(1)
  }

  /** @param share 0.99 for the 99th percentile. */
  percentileMs(share: number): number {
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  }
}

/** The contents of both stores, by notification id. */
export interface StoreContents {
  rows: Map<string, number>
  deadLetters: Map<string, DeadLetterEntry[]>
}

export interface DeadLetterEntry {
  reason: string
  attempts: number
}

export const listDeadLetters = ({ deadLetters }: Pick<StoreContents, 'deadLetters'>): DeadLetterEntry[] =>
  [...deadLetters.values()].flat()

export interface Verdict {
  acknowledged: number
  /** Acknowledged, and in neither store. */
  lost: string[]
  /** Two rows, two dead letters, or one of each. */
  doubled: string[]
  /** In a store, but refused or never sent. */
  unexplained: string[]
  /** Acknowledged, but in the wrong store. */
  misplaced: string[]
}

/** Compares what the client knows with the contents of the stores. */
export function compareWithStores(ledger: Ledger, stores: StoreContents): Verdict {
  const verdict: Verdict = { acknowledged: 0, lost: [], doubled: [], unexplained: [], misplaced: [] }
  for (const { notificationId, knowledge, expected } of ledger.entries.values()) {
    const rows = stores.rows.get(notificationId) ?? 0
    const copies = rows + (stores.deadLetters.get(notificationId)?.length ?? 0)
    if (copies > 1) verdict.doubled.push(notificationId)
    if (knowledge === 'refused' && copies > 0) verdict.unexplained.push(notificationId)
    if (knowledge !== 'acknowledged') continue
    verdict.acknowledged++
    if (copies === 0) verdict.lost.push(notificationId)
    else if (expected !== 'either' && (expected === 'row') !== rows > 0)
      verdict.misplaced.push(notificationId)
  }
  for (const id of [...stores.rows.keys(), ...stores.deadLetters.keys()]) {
    if (!ledger.entries.has(id)) verdict.unexplained.push(id)
  }
  return verdict
}
