import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'

const REQUEST_ID = /^[\w.-]{1,128}$/

/** The caller's id when it is well-formed, else a new one. */
export function chooseRequestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/**
 * Node's response with what every answer carries, whoever answers: secure headers and the request's id. What an
 * answer sets itself goes before it, in lower case. Headers are merged once, when they are written: setting them
 * one by one before costs more than all of them together.
 */
export class SecureResponse<
  Request extends IncomingMessage = IncomingMessage,
> extends ServerResponse<Request> {
  readonly requestId = chooseRequestId(this.req.headers['x-request-id'])

  override writeHead(status: number, ...rest: unknown[]): this {
    const own = rest.at(-1) as OutgoingHttpHeaders | string[] | undefined
    const common = commonHeaders(this.requestId)
    // Node's own refusals come as a list: name, value, name, value.
    if (Array.isArray(own)) return super.writeHead(status, [...Object.entries(common).flat(), ...own])
    return super.writeHead(status, { ...common, ...own })
  }
}

const commonHeaders = (requestId: string) => ({
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  // An API needs no more than this; /docs relaxes the policy for its own page.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-request-id': requestId,
})
