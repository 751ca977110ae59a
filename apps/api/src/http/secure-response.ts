import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'

const REQUEST_ID = /^[\w.-]{1,128}$/

/** Returns the caller's id when it is well-formed, otherwise a new one. */
export function chooseRequestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/**
 * Node's response with security headers and the request id on every answer. Headers of the answer, in lower case,
 * take precedence. All are merged once when they are written, because setting them one by one costs more.
 */
export class SecureResponse<
  Request extends IncomingMessage = IncomingMessage,
> extends ServerResponse<Request> {
  readonly requestId = chooseRequestId(this.req.headers['x-request-id'])

  override writeHead(status: number, ...rest: unknown[]): this {
    const own = rest.at(-1) as OutgoingHttpHeaders | string[] | undefined
    const common = commonHeaders(this.requestId)
    // Node's own refusals pass a flat list: name, value, name, value.
    if (Array.isArray(own)) return super.writeHead(status, [...Object.entries(common).flat(), ...own])
    return super.writeHead(status, { ...common, ...own })
  }
}

const commonHeaders = (requestId: string) => ({
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  // The default blocks everything. A page sets a policy that allows what it needs.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-request-id': requestId,
})
