import { getRequestListener } from '@hono/node-server'
import type { RefusalAnswer, RefusalCode } from '@tidings/runtime/broken-request'
import {
  CONNECTION_LIMITS,
  type ConnectionLimits,
  createHttpServer,
  listen,
} from '@tidings/runtime/http-server'
import type { Hono } from 'hono'
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
  /** Lets answers say `Connection: close` from now on, so that close() need not wait for idle connections. */
  announceClose(): void
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
  let isClosing = false
  const listener = getRequestListener(app.fetch, {
    hostname: DEFAULT_HOST,
    overrideGlobalObjects: true,
    errorHandler: () => refuseTarget(),
  })
  const options = {
    limits: { ...CONNECTION_LIMITS, ...limits },
    maxHeaderSize: MAX_HEADER_BYTES,
    ServerResponse: SecureResponse,
    createAnswer: createRefusal,
    onRefusal: (reason: string) => onBrokenRequest?.(reason),
    onDrop: (reason: string) => onBrokenRequest?.(reason),
  }
  const server = createHttpServer(options, (incoming, outgoing) => {
    if (isClosing) outgoing.shouldKeepAlive = false
    void listener(incoming, outgoing)
  })
  const url = await listen(server, { port, host, portVariable: 'PORT' })
  return {
    url,
    announceClose() {
      isClosing = true
    },
    async close() {
      await acceptPending()
      const isAnnounced = isClosing
      isClosing = true
      await drainServer(server, isAnnounced)
    },
    closeIdleConnections: () => server.closeIdleConnections(),
  }
}

function createRefusal(code: RefusalCode, message: string): RefusalAnswer {
  const requestId = chooseRequestId(undefined)
  return { headers: { 'X-Request-Id': requestId }, problem: createProblem(code, message, requestId) }
}

/** Answers a request whose target or Host does not form a URL. */
function refuseTarget(): Response {
  const requestId = chooseRequestId(undefined)
  const problem = createProblem('bad_request', 'The request target is not valid.', requestId)
  return respondWithProblem(problem, { 'x-request-id': requestId, connection: 'close' })
}
