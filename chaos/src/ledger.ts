/** What the client knows of one event it sent. */
export type Knowledge =
  /** Answered 2xx: it must be found. */
  | 'acknowledged'
  /** No answer, or one that leaves it open: it may be found, once. */
  | 'in doubt'
  /** Refused for good: it must not be found. */
  | 'refused'

/** Where the event should end. */
export type ExpectedOutcome = 'row' | 'dead letter' | 'either'

export interface LedgerEntry {
  /** Unique for each event of a run; found again in the row or dead letter. */
  notificationId: string
  destiny: ExpectedOutcome
  knowledge: Knowledge
  sentAt: number
}

/** The client's own book of what it sent. It decides what was lost, not the system's counters. */
export class Ledger {
  readonly entries = new Map<string, LedgerEntry>()
  /** Answers by status code, `reset` and the like for none. */
  readonly answers = new Map<string, number>()
  /** Milliseconds each post took to be answered or given up. */
  readonly latencies: number[] = []

  send(notificationId: string, destiny: ExpectedOutcome = 'row'): void {
    if (this.entries.has(notificationId)) return
    this.entries.set(notificationId, {
      notificationId,
      destiny,
      knowledge: 'in doubt',
      sentAt: performance.now(),
    })
  }

  learn(notificationId: string, knowledge: Knowledge): void {
    const entry = this.entries.get(notificationId)
    // Once acknowledged, for ever: a later repeat may be refused.
    if (entry && entry.knowledge !== 'acknowledged') entry.knowledge = knowledge
  }

  noteAnswer(kind: string, latencyMs: number): void {
    this.answers.set(kind, (this.answers.get(kind) ?? 0) + 1)
    this.latencies.push(latencyMs)
  }

  count(knowledge: Knowledge): number {
    return [...this.entries.values()].filter((entry) => entry.knowledge === knowledge).length
  }

  answered(kind: string): number {
    return this.answers.get(kind) ?? 0
  }

  get posts(): number {
    return this.latencies.length
  }

  get slowestMs(): number {
    return this.latencies.reduce((slowest, ms) => Math.max(slowest, ms), 0)
  }
}

/** What the stores hold, by notification id. */
export interface Found {
  rows: Map<string, number>
  dead: Map<string, DeadEntry[]>
}

export interface DeadEntry {
  reason: string
  attempts: number
}

export const listDead = ({ dead }: Pick<Found, 'dead'>): DeadEntry[] => [...dead.values()].flat()

export interface Verdict {
  acknowledged: number
  /** Acknowledged and in neither store. */
  lost: string[]
  /** More than one row, more than one dead letter, or one of each. */
  doubled: string[]
  /** In a store though never sent, or refused. */
  unexplained: string[]
  /** Acknowledged and found in the store where it does not belong. */
  misplaced: string[]
}

/** Compares what the client knows with what the stores hold. */
export function judge(ledger: Ledger, found: Found): Verdict {
  const verdict: Verdict = { acknowledged: 0, lost: [], doubled: [], unexplained: [], misplaced: [] }
  for (const { notificationId, knowledge, destiny } of ledger.entries.values()) {
    const rows = found.rows.get(notificationId) ?? 0
    const places = rows + (found.dead.get(notificationId)?.length ?? 0)
    if (places > 1) verdict.doubled.push(notificationId)
    if (knowledge === 'refused' && places > 0) verdict.unexplained.push(notificationId)
    if (knowledge !== 'acknowledged') continue
    verdict.acknowledged++
    if (places === 0) verdict.lost.push(notificationId)
    else if (destiny !== 'either' && (destiny === 'row') !== rows > 0) verdict.misplaced.push(notificationId)
  }
  for (const id of [...found.rows.keys(), ...found.dead.keys()]) {
    if (!ledger.entries.has(id)) verdict.unexplained.push(id)
  }
  return verdict
}
