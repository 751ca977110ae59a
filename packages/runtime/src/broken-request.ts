import type { EventEmitter } from 'node:events'
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

/** HTTP statuses of the refusals of bytes that do not become a request. */
export const REFUSAL_STATUSES = {
  bad_request: 400,
  request_timeout: 408,
  payload_too_large: 413,
  expectation_failed: 417,
  headers_too_large: 431,
} as const
export type RefusalCode = keyof typeof REFUSAL_STATUSES

/** The body of a refusal, and headers besides type, length and connection. */
export interface RefusalAnswer {
  headers: Readonly<Record<string, string>>
  problem: object
}

export interface RefusalOptions {
  /** Makes the answer. By default it is a plain RFC 9457 problem. */
  createAnswer?: ((code: RefusalCode, message: string) => RefusalAnswer) | undefined
  /** Called after each refusal with its code, or with `reset` when the client was gone. */
  onRefusal?: ((code: RefusalCode | 'reset') => void) | undefined
}

export const PROBLEM_CONTENT_TYPE = 'application/problem+json'

interface Refusal {
  code: RefusalCode
  message: string
}

const BAD_REQUEST: Refusal = { code: 'bad_request', message: 'The request is not valid HTTP.' }
const MISSING_HOST: Refusal = { code: 'bad_request', message: 'An HTTP/1.1 request needs a Host header.' }
const UNKNOWN_EXPECTATION: Refusal = {
  code: 'expectation_failed',
  message: 'The Expect header asks for what is not offered.',
}

/** By the error codes of Node's HTTP parser and timeouts. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
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
 * Answers with a problem what Node refuses with an empty body: bytes that it cannot parse, that arrive too slowly, or
 * that ask for what is not offered. Then it closes the connection.
 *
 * @returns a function that also refuses a request without a Host, or an ambiguous one. It tells whether it did.
 */
export function refuseBrokenRequests(
  server: EventEmitter,
  { createAnswer = createPlainAnswer, onRefusal }: RefusalOptions,
): (incoming: IncomingMessage) => boolean {
  function refuse({ code, message }: Refusal, socket: Duplex, isGone = !socket.writable): void {
    if (isGone) socket.destroy()
    else answer(socket, REFUSAL_STATUSES[code], createAnswer(code, message))
    onRefusal?.(isGone ? 'reset' : code)
  }
  server.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket: Duplex) =>
    refuse(REFUSALS[code] ?? BAD_REQUEST, socket, !socket.writable || code === 'ECONNRESET'),
  )
  server.on('connect', (_, socket: Duplex) => refuse(BAD_REQUEST, socket))
  server.on('checkExpectation', ({ socket }: IncomingMessage) => refuse(UNKNOWN_EXPECTATION, socket))
  return (incoming) => {
    const { headers, httpVersion, socket } = incoming
    if (!headers.host && httpVersion !== '1.0') refuse(MISSING_HOST, socket)
    else if (isAmbiguous(incoming)) refuse(BAD_REQUEST, socket)
    else return false
    return true
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

const createPlainAnswer = (code: RefusalCode, detail: string): RefusalAnswer => ({
  headers: {},
  problem: createPlainProblem(REFUSAL_STATUSES[code], detail),
})

/** A problem without a type of its own (RFC 9457, section 4.2.1). */
export const createPlainProblem = (status: number, detail: string) => ({
  type: 'about:blank',
  title: STATUS_CODES[status],
  status,
  detail,
})

function answer(socket: Duplex, status: number, { headers, problem }: RefusalAnswer): void {
  closeSoon(socket)
  const body = JSON.stringify(problem)
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      `Content-Type: ${PROBLEM_CONTENT_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
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
