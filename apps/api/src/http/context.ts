import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'

/** What every handler finds in `c.env`: Node's own request and response, and the request's id. */
export interface ApiEnv {
  Bindings: HttpBindings & {
    /** Set before any handler runs; also returned as X-Request-Id and logged. */
    requestId: string
  }
}

export type ApiContext = Context<ApiEnv>
