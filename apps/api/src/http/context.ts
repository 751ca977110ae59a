import type { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import type { SecureResponse } from './secure-response.ts'

/** What every handler finds in `c.env`: Node's own request, and the response with the request's id. */
export interface ApiEnv {
  Bindings: {
    incoming: IncomingMessage
    outgoing: SecureResponse
    /** Pattern of the route that took the request, once one has. */
    route?: string
  }
}

export type ApiContext = Context<ApiEnv>
