import type { IncomingMessage } from 'node:http'
import type { AppError } from '@tidings/shared/errors'
import type { Context } from 'hono'
import type { SecureResponse } from './secure-response.ts'

/** The `c.env` of every handler: Node's request, and the response, which has the request's id. */
export interface ApiEnv {
  Bindings: {
    incoming: IncomingMessage
    outgoing: SecureResponse
    /** Pattern of the matched route; absent before one matched. */
    route?: string
    /** Shows a refusal as a page, for a route that people open in a browser. Others answer with a problem document. */
    showError?: (error: AppError) => Page
  }
}

/** A page for a browser. */
export interface Page {
  html: string
  /** Its content type and policy. */
  headers: Record<string, string>
}

export type ApiContext = Context<ApiEnv>
