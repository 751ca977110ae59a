import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { explainListenError } from '@tidings/runtime/listen-error'
import type { Hono } from 'hono'
import { answerBrokenRequest, UNKNOWN_EXPECTATION } from './broken-request.ts'
import type { ApiEnv } from './context.ts'
import { acceptPending, drainServer } from './drain-server.ts'
import { respondWithProblem } from './error-response.ts'
import { createProblem } from './problem.ts'
import { chooseRequestId, SecureResponse } from './secure-response.ts'

const MAX_HEADER_BYTES = 16 * 1024
const KEEP_ALIVE_MS = 5_000

/** How long a request may take to arrive, in milliseconds. */
export interface ArrivalLimits {
  headersMs: number
  /** Headers and body together. */
  requestMs: number
  /** How often connections are checked: a slow request is refused this much later at most. */
  checkIntervalMs: number
}

/** Slow headers are refused within 10 s, a slow body within 15.5 s. */
export const ARRIVAL_LIMITS: ArrivalLimits = { headersMs: 9_500, requestMs: 15_000, checkIntervalMs: 500 }

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
  /** Called with the error code of each request that was refused before it was routed. */
  onBrokenRequest?(code: string): void
  /** ARRIVAL_LIMITS when absent. */
  limits?: ArrivalLimits
}

/**
 * Serves the application.
 *
 * @throws StartupError when it cannot listen on that port and host.
 */
export async function serveHttp(
  app: Hono<ApiEnv>,
  { port, host, onBrokenRequest, limits = ARRIVAL_LIMITS }: ServeOptions,
): Promise<HttpServer> {
  let isDraining = false
  function refuse(error: Error, socket: Duplex): void {
    const code = answerBrokenRequest(error, socket)
    onBrokenRequest?.(code)
  }
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: true,
    errorHandler: () => refuseTarget(),
  })
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: limits.checkIntervalMs,
    noDelay: true,
    ServerResponse: SecureResponse,
  }
  const server = createServer(options, (incoming: IncomingMessage, outgoing: SecureResponse) => {
    // An earlier request on this connection was refused, so this one's boundaries are in doubt.
    if (!incoming.socket.writable) return
    if (isAmbiguous(incoming)) return refuse(new Error('ambiguous'), incoming.socket)
    if (isDraining) outgoing.shouldKeepAlive = false
    void listener(incoming, outgoing)
  })
  server.on('clientError', refuse)
  server.on('connect', (_, socket) => refuse(new Error('CONNECT'), socket))
  server.on('checkExpectation', ({ socket }) =>
    refuse(Object.assign(new Error('expectation'), { code: UNKNOWN_EXPECTATION }), socket),
  )
  await listen(server, port, host)
  return {
    url: urlOf(server),
    async close() {
      await acceptPending()
      isDraining = true
      await drainServer(server)
    },
    closeIdleConnections: () => server.closeIdleConnections(),
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(explainListenError(error, { port, host, portVariable: 'PORT' })),
    )
    server.listen({ port, host, backlog: 4096 }, resolve)
  })
}

function urlOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${host}:${address.port}`
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
