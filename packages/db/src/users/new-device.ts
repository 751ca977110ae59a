import { type SQL, sql } from 'drizzle-orm'
import { sessions } from '../schema/sessions.ts'

/** Where a login comes from, as the message about a new device tells it. */
export interface LoginOrigin {
  device: string | null
  /** The network around the address, such as 192.0.2.0/24: a home gets another address of it now and then. */
  network: string
  /** The language of the message. */
  locale: string
}

/**
 * SQL that tells whether a login comes from a new device: the user has sessions, live or ended, and none with the same
 * user agent from the same network. Null without sessions. It is read with the statement that records the login, so it
 * costs no round trip.
 */
export const isNewDevice = (
  { userId, userAgent }: { userId: string; userAgent: string | null },
  network: string,
): SQL<boolean | null> => sql<boolean | null>`(
  SELECT NOT bool_or(${sessions.userAgent} IS NOT DISTINCT FROM ${userAgent} AND ${sessions.ip} <<= ${network}::inet)
  FROM ${sessions} WHERE ${sessions.userId} = ${userId})`
