import { type SQL, sql } from 'drizzle-orm'
import { sessions } from '../schema/sessions.ts'

interface Device {
  userId: string
  userAgent: string | null
  ip: string | null
}

/**
 * SQL that tells whether a login comes from a new device: the user has sessions, live or ended, and none with the same
 * user agent from the same network. It is read with the statement that records the login, so it costs no round trip.
 */
export const isNewDevice = ({ userId, userAgent, ip }: Device): SQL<boolean> => sql<boolean>`(
  EXISTS (SELECT FROM ${sessions} WHERE ${sessions.userId} = ${userId})
  AND NOT EXISTS (SELECT FROM ${sessions} WHERE ${sessions.userId} = ${userId}
    AND ${sessions.userAgent} IS NOT DISTINCT FROM ${userAgent}
    AND coalesce(${sessions.ip} <<= ${coarseNetwork(ip)}, ${ip}::inet IS NULL)))`

/** SQL of the network around an address, as text such as 192.0.2.0/24. A home gets another address of it now and then. */
export const coarseAddress = (ip: string | null): SQL<string | null> =>
  sql<string | null>`${coarseNetwork(ip)}::text`

const coarseNetwork = (ip: string | null): SQL =>
  sql`network(set_masklen(${ip}::inet, CASE family(${ip}::inet) WHEN 4 THEN 24 ELSE 48 END))`
