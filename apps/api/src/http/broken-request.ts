import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ErrorCode } from '@tidings/shared/errors'
import type { ConnectionErrorCode } from './error-codes.ts'
import { createProblem, PROBLEM_CONTENT_TYPE } from './problem.ts'
import { chooseRequestId } from './secure-response.ts'

interface Refusal {
  code: ErrorCode | ConnectionErrorCode
  message: string
}

const BAD_REQUEST: Refusal = { code: 'bad_request', message: 'The request is not valid HTTP.' }

/** Error codes beside those of Node. */
export const UNKNOWN_EXPECTATION = 'UNKNOWN_EXPECTATION'
export const MISSING_HOST = 'MISSING_HOST'

/** By the error codes of Node's HTTP parser and timeouts. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  [UNKNOWN_EXPECTATION]: {
    code: 'expectation_failed',
    message: 'The Expect header asks for what is not offered.',
  },
  [MISSING_HOST]: { code: 'bad_request', message: 'An HTTP/1.1 request needs a Host header.' },
  HPE_HEADER_OVERFLOW: { code: 'headers_too_large', message: 'The request headers are larger than 16 KB.' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    code: 'payload_too_large',
    message: 'The chunk extensions are too large.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: { code: 'request_timeout', message: 'The request did not arrive in time.' },
}

/** How long a refused client may take to read the answer and close, in milliseconds. */
const LINGER_MS = 1_000

/**
 * Answers bytes that Node could not parse, or that arrived too slowly, and closes the connection.
 *
 * @returns the error code of the answer, or `reset` when the client is gone.
 */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): string {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return 'reset'
  }
  closeSoon(socket)
  const { code, message } = REFUSALS[error.code ?? ''] ?? BAD_REQUEST
  const requestId = chooseRequestId(undefined)
  const problem = createProblem(code, message, requestId)
  const body = JSON.stringify(problem)
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      `Content-Type: ${PROBLEM_CONTENT_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
  return code
}

/**
 * Closes the connection when the client does, or after LINGER_MS: Node's timeouts no longer apply to a request that it
 * has handed over. Listens for errors, because Node removes its own listeners from the socket of a CONNECT, and an
 * unhandled error would end the process.
 */
function closeSoon(socket: Duplex): void {
  socket.on('error', () => socket.destroy())
  // Read the rest: closing with unread data resets the connection, which can lose the answer.
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}
