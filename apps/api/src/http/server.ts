import { createServer, type IncomingMessage, type Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { explainListenError } from '@tidings/runtime/listen-error'
import type { Hono } from 'hono'
import { answerBrokenRequest, UNKNOWN_EXPECTATION } from './broken-request.ts'
import type { ApiEnv } from './context.ts'
import { respondWithProblem } from './error-response.ts'
import { createProblem } from './problem.ts'
import { chooseRequestId, SecureResponse } from './secure-response.ts'

const MAX_HEADER_BYTES = 16 * 1024
/** Together with the check's interval: a slow one is told within 10 s. In milliseconds. */
const HEADERS_TIMEOUT_MS = 9_500
const CHECK_INTERVAL_MS = 500
const REQUEST_TIMEOUT_MS = 15_000
const KEEP_ALIVE_TIMEOUT_MS = 5_000
/** How long an idle connection is left open for a request that may be on its way. In milliseconds. */
const DRAIN_IDLE_MS = 4_000
const DRAIN_LIMIT_MS = 4_500

export interface HttpServer {
  /** Where it listens, such as http://127.0.0.1:8001. */
  url: string
  /** Stops accepting, answers what is in flight, asks clients to close, then closes what is left. */
  close(): Promise<void>
}

export interface ServeOptions {
  port: number
  host: string
  /** Told the reason of each request that was refused before it could be routed. */
  onBrokenRequest?(reason: string): void
}

/**
 * Serves the application, with limits on slow and oversized requests.
 *
 * @throws StartupError when it cannot listen there.
 */
export async function serveHttp(
  app: Hono<ApiEnv>,
  { port, host, onBrokenRequest }: ServeOptions,
): Promise<HttpServer> {
  let draining = false
  const refuse = (error: Error, socket: Duplex) => void onBrokenRequest?.(answerBrokenRequest(error, socket))
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: true,
    errorHandler: () => refuseTarget(),
  })
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      noDelay: true,
      ServerResponse: SecureResponse,
    },
    (incoming: IncomingMessage, outgoing: SecureResponse) => {
      // Refused before: where its requests begin and end is in doubt.
      if (!incoming.socket.writable) return
      if (isAmbiguous(incoming)) return refuse(new Error('ambiguous'), incoming.socket)
      if (draining) outgoing.shouldKeepAlive = false
      void listener(incoming, outgoing)
    },
  )
  server.on('clientError', refuse)
  server.on('connect', (_, socket) => refuse(new Error('CONNECT'), socket))
  server.on('checkExpectation', ({ socket }) =>
    refuse(Object.assign(new Error('expectation'), { code: UNKNOWN_EXPECTATION }), socket),
  )
  await listen(server, port, host)
  return {
    url: urlOf(server),
    async close() {
      await untilQuietTurn()
      draining = true
      await drain(server)
    },
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

/** A turn of the event loop shorter than this leaves hardly a connection untaken. In milliseconds. */
const QUIET_TURN_MS = 0.5
const QUIET_TURN_LIMIT_MS = 500

/**
 * Connections that the kernel has established and Node has not taken yet are reset when the listening socket
 * closes. Each turn of the event loop takes all of them, so this waits for a turn so short that none is
 * likely to have come since.
 */
async function untilQuietTurn(): Promise<void> {
  // The first one may still belong to the turn in which the signal came.
  await nextTurn()
  const giveUpAt = performance.now() + QUIET_TURN_LIMIT_MS
  for (let turnedAt = performance.now(); ; ) {
    await nextTurn()
    const now = performance.now()
    if (now - turnedAt < QUIET_TURN_MS || now > giveUpAt) return
    turnedAt = now
  }
}

/**
 * Node's own close() ends idle connections at once, and a request that is just arriving on one meets a
 * reset. So: stop listening only; every answer from now on says `Connection: close`; idle connections get a
 * while to send what they were about to send.
 */
async function drain(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  const timer = new AbortController()
  const wait = (ms: number) => sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined)
  const force = async () => {
    await wait(DRAIN_IDLE_MS)
    server.closeIdleConnections()
    await wait(DRAIN_LIMIT_MS - DRAIN_IDLE_MS)
    server.closeAllConnections()
  }
  await Promise.race([closed, force()])
  timer.abort()
  await closed
}

/**
 * What another server on the way may have read otherwise: two Host lines, of which Node takes the first, or a body
 * coded in more ways than chunks.
 */
function isAmbiguous({ rawHeaders, headers }: IncomingMessage): boolean {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (isHost(rawHeaders[i])) hosts++
  const coding = headers['transfer-encoding']
  return hosts > 1 || (coding !== undefined && coding.toLowerCase() !== 'chunked')
}

const isHost = (name = '') => name.length === 4 && name.toLowerCase() === 'host'

/** The request line or Host cannot be made into a URL. */
function refuseTarget(): Response {
  const requestId = chooseRequestId(undefined)
  const problem = createProblem(
    400,
    'bad_request',
    'Bad request',
    'The request target is not valid.',
    requestId,
  )
  return respondWithProblem(problem, { 'x-request-id': requestId, connection: 'close' })
}
