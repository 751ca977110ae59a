import type { Duplex } from 'node:stream'
import { createProblem, PROBLEM_CONTENT_TYPE } from './problem.ts'
import { chooseRequestId } from './secure-response.ts'

interface Refusal {
  status: number
  slug: string
  title: string
  detail: string
}

const BAD_REQUEST: Refusal = {
  status: 400,
  slug: 'bad_request',
  title: 'Bad Request',
  detail: 'The request is not valid HTTP.',
}

/** Our own code beside Node's: an `Expect` header that nobody knows. */
export const UNKNOWN_EXPECTATION = 'UNKNOWN_EXPECTATION'

/** By the codes of Node's HTTP parser and timeouts. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  [UNKNOWN_EXPECTATION]: {
    status: 417,
    slug: 'expectation_failed',
    title: 'Expectation Failed',
    detail: 'The Expect header asks for what is not offered.',
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    slug: 'headers_too_large',
    title: 'Request Header Fields Too Large',
    detail: 'The request headers are larger than 16 KB.',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    slug: 'payload_too_large',
    title: 'Payload Too Large',
    detail: 'The chunk extensions are too large.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    slug: 'request_timeout',
    title: 'Request Timeout',
    detail: 'The request did not arrive in time.',
  },
}

/** How long a refused client has to read the answer and to close. In milliseconds. */
const LINGER_MS = 1_000

/**
 * Answers what Node could not parse, or what came too slowly, and closes the connection.
 *
 * @returns the slug of the refusal, or `reset` when there is nobody left to answer.
 */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): string {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return 'reset'
  }
  letGo(socket)
  const { status, slug, title, detail } = REFUSALS[error.code ?? ''] ?? BAD_REQUEST
  const requestId = chooseRequestId(undefined)
  const body = JSON.stringify(createProblem(status, slug, title, detail, requestId))
  socket.end(
    [
      `HTTP/1.1 ${status} ${title}`,
      `Content-Type: ${PROBLEM_CONTENT_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
  return slug
}

/**
 * Closes the connection when the client does, or soon. Node's own limits no longer hold for a request that it has
 * handed over, and it has taken its listeners off the socket of a CONNECT: an error there would end the process.
 */
function letGo(socket: Duplex): void {
  socket.on('error', () => socket.destroy())
  // What is left unread would make a reset of the close, and the answer may be lost with it.
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}
