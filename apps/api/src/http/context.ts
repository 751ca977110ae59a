import type { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import type { SecureResponse } from './secure-response.ts'

/** The `c.env` of every handler: Node's request, and the response, which has the request's id. */
export interface ApiEnv {
  Bindings: {
    incoming: IncomingMessage
    outgoing: SecureResponse
    /** Pattern of the matched route; absent before one matched. */
    route?: string
  }
}

export type ApiContext = Context<ApiEnv>
