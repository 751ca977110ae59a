import type { Handle } from '../database.ts'
import { findLiveSessions } from './sessions.ts'

/** Whose request it is, and by which session: null for a token of the Django service. */
export interface Caller {
  userId: string
  sessionId: string | null
}

/**
 * Tells whether the session of a request has ended since it was checked: a body may arrive long after that. Call it in a
 * transaction that locked the row of the user: then no reset of the password can end the session before the commit.
 */
export async function isEnded(db: Handle, { sessionId }: Pick<Caller, 'sessionId'>): Promise<boolean> {
  return sessionId !== null && (await findLiveSessions(db, [sessionId])).length === 0
}
