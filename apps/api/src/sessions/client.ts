import type { ClientAddress } from '../auth/client-address.ts'
import type { ApiContext } from '../http/context.ts'

/** Where a login or a refresh comes from. A new session stores it, so that its owner recognises the session. */
export interface Client {
  address: string
  userAgent: string | null
}

const MAX_USER_AGENT_LENGTH = 255

export function readClient(c: ApiContext, clientAddress: ClientAddress): Client {
  const userAgent = c.env.incoming.headers['user-agent']
  // Keep only printable Latin-1 characters: Node decodes headers as Latin-1, and the session list shows them.
  const printable = userAgent?.replaceAll(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT_LENGTH)
  return { address: clientAddress(c), userAgent: printable || null }
}
