import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import {
  CONNECTION_LIMITS,
  type ConnectionLimits,
  createHttpServer,
  listen,
} from '@tidings/runtime/http-server'
import type { Hono } from 'hono'
import { answerBrokenRequest, MISSING_HOST, UNKNOWN_EXPECTATION } from './broken-request.ts'
import type { ApiEnv } from './context.ts'
import { acceptPending, drainServer } from './drain-server.ts'
import { respondWithProblem } from './error-response.ts'
import { createProblem } from './problem.ts'
import { chooseRequestId, SecureResponse } from './secure-response.ts'

const MAX_HEADER_BYTES = 16 * 1024
/** In the URL of an HTTP/1.0 request without a Host, which is what plain health checks send. */
const DEFAULT_HOST = 'localhost'

export interface HttpServer {
  /** Where it listens, such as http://127.0.0.1:8001. */
  url: string
  /** Stops accepting, answers the requests in flight with `Connection: close`, then closes all connections. */
  close(): Promise<void>
  /** Ends idle connections at once, so that close() need not wait for them. For tests that send no more requests. */
  closeIdleConnections(): void
}

export interface ServeOptions {
  port: number
  host: string
  /** Called with the reason for each request that was refused before it was routed, and each dropped connection. */
  onBrokenRequest?(reason: string): void
  /** Those of CONNECTION_LIMITS when absent. */
  limits?: Partial<ConnectionLimits>
}

/**
 * Serves the application.
 *
 * @throws StartupError when it cannot listen on that port and host.
 */
export async function serveHttp(
  app: Hono<ApiEnv>,
  { port, host, onBrokenRequest, limits }: ServeOptions,
): Promise<HttpServer> {
  let isDraining = false
  function refuse(code: string, socket: Duplex): void {
    refuseError(Object.assign(new Error(code), { code }), socket)
  }
  function refuseError(error: Error, socket: Duplex): void {
    const code = answerBrokenRequest(error, socket)
    onBrokenRequest?.(code)
  }
  const listener = getRequestListener(app.fetch, {
    hostname: DEFAULT_HOST,
    overrideGlobalObjects: true,
    errorHandler: () => refuseTarget(),
  })
  const options = {
    limits: { ...CONNECTION_LIMITS, ...limits },
    maxHeaderSize: MAX_HEADER_BYTES,
    // Checked below: Node's own refusal has no body.
    requireHostHeader: false,
    ServerResponse: SecureResponse,
    onDrop: (reason: string) => onBrokenRequest?.(reason),
  }
  const server = createHttpServer(options, (incoming, outgoing) => {
    if (!incoming.headers.host && incoming.httpVersion !== '1.0') return refuse(MISSING_HOST, incoming.socket)
    if (isAmbiguous(incoming)) return refuse('AMBIGUOUS', incoming.socket)
    if (isDraining) outgoing.shouldKeepAlive = false
    void listener(incoming, outgoing)
  })
  server.on('clientError', refuseError)
  server.on('connect', (_, socket) => refuse('CONNECT', socket))
  server.on('checkExpectation', ({ socket }) => refuse(UNKNOWN_EXPECTATION, socket))
  const url = await listen(server, { port, host, portVariable: 'PORT' })
  return {
    url,
    async close() {
      await acceptPending()
      isDraining = true
      await drainServer(server)
    },
    closeIdleConnections: () => server.closeIdleConnections(),
  }
}

/**
 * Whether a proxy may read the request differently (request smuggling): several Host lines, of which Node takes the
 * first, or a transfer coding other than chunked.
 */
function isAmbiguous({ rawHeaders, headers }: IncomingMessage): boolean {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (isHost(rawHeaders[i])) hosts++
  const coding = headers['transfer-encoding']
  return hosts > 1 || (coding !== undefined && coding.toLowerCase() !== 'chunked')
}

const isHost = (name = '') => name.length === 4 && name.toLowerCase() === 'host'

/** Answers a request whose target or Host does not form a URL. */
function refuseTarget(): Response {
  const requestId = chooseRequestId(undefined)
  const problem = createProblem('bad_request', 'The request target is not valid.', requestId)
  return respondWithProblem(problem, { 'x-request-id': requestId, connection: 'close' })
}
