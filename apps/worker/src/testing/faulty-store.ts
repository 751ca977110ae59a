import pg from 'pg'
import type { Store } from '../jobs/batch-writer.ts'

/** An error as PostgreSQL raises it. @param code SQLSTATE */
export function databaseError(code: string): Error {
  return Object.assign(new pg.DatabaseError('as the test says', 0, 'error'), { code })
}

/** Makes the events of some providers fail. The database itself is sound. */
export class FaultyStore {
  /** SQLSTATEs by provider. A statement fails with the first one that it meets. */
  readonly failing = new Map<string, string>()
  /** How often each event was written, by event id. */
  readonly attempts = new Map<string, number>()

  readonly wrap = (store: Store): Store => {
    return async (events) => {
      for (const { id } of events) this.attempts.set(id, (this.attempts.get(id) ?? 0) + 1)
      const codes = events.map(({ provider = '' }) => this.failing.get(provider))
      const code = codes.find((found) => found !== undefined)
      if (code !== undefined) throw databaseError(code)
      return store(events)
    }
  }
}
