import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Server as NetServer, Socket } from 'node:net'
import { type RefusalOptions, refuseBrokenRequests } from './broken-request.ts'
import { explainListenError } from './listen-error.ts'

/** How long a client may take, in milliseconds. */
export interface ConnectionLimits {
  /** Until the headers of a request have arrived. */
  headersMs: number
  /** Until headers and body have arrived. */
  requestMs: number
  /** How often arriving requests are checked: a slow one is refused this much later at most. */
  checkIntervalMs: number
  /** Without taking a byte of an answer. Up to twice as long when it took some first. */
  silentMs: number
  /** Between an answer and the next request. */
  keepAliveMs: number
}

/**
 * Slow headers are refused within 10 s, a slow body within 15.5 s. Idle connections stay open for longer than those of
 * a usual load balancer (60 s): otherwise it sends a request into a connection that is closing, and answers 502.
 */
export const CONNECTION_LIMITS: ConnectionLimits = {
  headersMs: 9_500,
  requestMs: 15_000,
  checkIntervalMs: 500,
  silentMs: 30_000,
  keepAliveMs: 65_000,
}

/** Most requests of a connection that wait behind the one in progress. */
const MAX_WAITING_REQUESTS = 32

/** Why a connection was closed: more than 32 requests waited, or the client took no byte of an answer. */
export type DropReason = 'too_many_pipelined' | 'unread_answer'

export interface HttpServerOptions<Response extends typeof ServerResponse<IncomingMessage>>
  extends ServerOptions<typeof IncomingMessage, Response>,
    RefusalOptions {
  limits: ConnectionLimits
  onDrop?(reason: DropReason): void
}

/**
 * Creates a server that bounds what one connection costs. Node hands over all pipelined requests at once: 62 KB of
 * them can ask for 1,200 answers, held in memory until the client reads. This server handles the requests of a
 * connection one at a time, when the earlier answer has left, and resets a client that takes nothing. A client may
 * close its sending side after a request and still gets the answer. Requests that are not valid HTTP never reach
 * `handle`: the server answers them with a problem.
 */
export function createHttpServer<Response extends typeof ServerResponse<IncomingMessage>>(
  { limits, onDrop, createAnswer, onRefusal, ...options }: HttpServerOptions<Response>,
  handle: (incoming: IncomingMessage, outgoing: InstanceType<Response>) => void,
): Server<typeof IncomingMessage, Response> {
  const handleValid: typeof handle = (incoming, outgoing) => {
    if (!refuseIfBroken(incoming)) handle(incoming, outgoing)
  }
  const waiting = new WeakMap<Socket, number>()
  const server = createServer<typeof IncomingMessage, Response>(
    {
      ...options,
      // Checked in refuseBrokenRequests: Node's own refusal has no body.
      requireHostHeader: false,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      keepAliveTimeout: limits.keepAliveMs,
      noDelay: true,
    },
    (incoming, outgoing) => {
      const { socket } = incoming
      // An earlier request of this connection was refused or dropped.
      if (!socket.writable) return skipRest(socket)
      // Node gives a response its socket when all earlier ones have left.
      if (outgoing.socket !== null) return handleValid(incoming, outgoing)
      const ahead = waiting.get(socket) ?? 0
      if (ahead === MAX_WAITING_REQUESTS) {
        onDrop?.('too_many_pipelined')
        skipRest(socket)
        return void socket.destroy()
      }
      waiting.set(socket, ahead + 1)
      outgoing.once('socket', () => {
        waiting.set(socket, (waiting.get(socket) ?? 1) - 1)
        // Right after this event Node writes what it holds of this answer, such as 100 Continue.
        process.nextTick(() => {
          if (socket.writable) handleValid(incoming, outgoing)
        })
      })
    },
  )
  const refuseIfBroken = refuseBrokenRequests(server, { createAnswer, onRefusal })
  // Node's types lack this property. Without it Node ends the connection as soon as the client has stopped sending.
  Object.assign(server, { httpAllowHalfOpen: true })
  watchForUnreadAnswers(server, limits)
  server.on('timeout', (socket: Socket) => {
    if (socket.writableLength === 0) return void socket.destroy()
    onDrop?.('unread_answer')
    // Unlike destroy(), a reset also frees what the kernel holds for the client.
    socket.resetAndDestroy()
  })
  return server
}

/**
 * Starts Node's inactivity timer on the connections that hold unsent bytes of an answer. `server.timeout` would start
 * it on all of them, at each request and each answer: a tenth of the processor time of a small request.
 */
function watchForUnreadAnswers(server: NetServer, { silentMs, checkIntervalMs }: ConnectionLimits): void {
  const open = new Set<Socket>()
  const watched = new WeakSet<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  const check = () => {
    for (const socket of open) {
      if (socket.writableLength === 0) watched.delete(socket)
      else if (!watched.has(socket)) {
        watched.add(socket)
        socket.setTimeout(silentMs)
      }
    }
  }
  const timer = setInterval(check, checkIntervalMs)
  timer.unref()
  server.once('close', () => clearInterval(timer))
}

/** Ends the parser's work: what Node's own callback returns for a request that upgrades the connection. */
const SKIP_REST = 2

/**
 * Keeps Node from making objects of the requests that follow a refused one. A read of 64 KB holds up to 2,600, which
 * are some 16 MB until the socket has closed. Node's types lack this property of the socket. If it is missing, the rest
 * is parsed and ignored.
 */
function skipRest(socket: Socket & { parser?: { onIncoming: () => number } | null }): void {
  if (socket.parser) socket.parser.onIncoming = () => SKIP_REST
}

/**
 * Listens.
 *
 * @param portVariable name of the environment variable that sets the port.
 * @returns the URL, such as http://127.0.0.1:8001.
 * @throws StartupError when the port or the host cannot be used.
 */
export async function listen(
  server: NetServer,
  { port, host, portVariable }: { port: number; host: string; portVariable: string },
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(explainListenError(error, { port, host, portVariable })),
    )
    server.listen({ port, host, backlog: 4096 }, resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${name}:${address.port}`
}
