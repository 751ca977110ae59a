import { connect, type Socket } from 'node:net'

/** The bytes that a server sent over a socket. */
export interface RawAnswer {
  text: string
  /** Status of the last answer in `text`; 0 without an answer. */
  status: number
  /** Whether the server closed the connection. */
  closed: boolean
  /** Milliseconds until the socket closed or the wait ended. */
  elapsedMs: number
}

/**
 * Sends the pieces unchanged, one write each, and reads until the server closes the connection or `waitMs` have passed.
 */
export function sendRaw(
  port: number,
  pieces: readonly (string | Buffer)[],
  waitMs = 3_000,
): Promise<RawAnswer> {
  const startedMs = performance.now()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket: Socket = connect({ port, host: '127.0.0.1' })
    const finish = (closed: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      const text = Buffer.concat(chunks).toString('latin1')
      const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)]
      const status = Number(statuses.at(-1)?.[1] ?? 0)
      resolve({ text, status, closed, elapsedMs: performance.now() - startedMs })
    }
    const timer = setTimeout(() => finish(false), waitMs)
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('close', () => finish(true))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // The server may close before it has read everything. Its answer still counts.
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
    })
    for (const piece of pieces) socket.write(piece)
  })
}
