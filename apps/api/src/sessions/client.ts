import type { ClientAddress } from '../auth/client-address.ts'
import type { ApiContext } from '../http/context.ts'

/** Where a login comes from. Stored with the session, so that its owner can recognise it. */
export interface Client {
  address: string
  userAgent: string | null
}

const MAX_USER_AGENT_LENGTH = 255

export function readClient(c: ApiContext, clientAddress: ClientAddress): Client {
  const userAgent = c.env.incoming.headers['user-agent']
  // Node reads header bytes as Latin-1. Control characters must not reach a list of sessions.
  const printable = userAgent?.replaceAll(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT_LENGTH)
  return { address: clientAddress(c), userAgent: printable || null }
}
