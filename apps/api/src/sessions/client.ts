import type { ClientAddress } from '../auth/client-address.ts'
import type { ApiContext } from '../http/context.ts'
import { readLocale } from '../http/read-locale.ts'

/** Where a request comes from. A new session stores it, so that its owner recognises the session. */
export interface Client {
  address: string
  userAgent: string | null
  /** The language of messages to the user: a BCP 47 tag. */
  locale: string
}

const MAX_USER_AGENT_LENGTH = 255

export function readClient(c: ApiContext, clientAddress: ClientAddress): Client {
  const { 'user-agent': userAgent, 'accept-language': languages } = c.env.incoming.headers
  // Keep only printable Latin-1 characters: Node decodes headers as Latin-1, and the session list shows them.
  const printable = userAgent?.replaceAll(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT_LENGTH)
  return { address: clientAddress(c), userAgent: printable || null, locale: readLocale(languages) }
}
