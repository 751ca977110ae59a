import { connect, createServer, type Socket } from 'node:net'
import type { Releaser } from '../releaser.ts'

/** Code of the request for TLS that may precede the startup message. */
const SSL_REQUEST = 80_877_103
/** Code of a request to cancel a statement, on a connection of its own. */
const CANCEL_REQUEST = 80_877_102
/** The startup parameters that PgBouncer accepts by default (its `ignore_startup_parameters` is empty). */
const ACCEPTED = new Set([
  'user',
  'database',
  'application_name',
  'client_encoding',
  'DateStyle',
  'TimeZone',
  'standard_conforming_strings',
])

/**
 * Starts a stand-in for PgBouncer in session mode. It forwards connections to the PostgreSQL of `target`. Like PgBouncer,
 * it refuses a connection with a startup parameter that is not in ACCEPTED.
 *
 * @returns the URL of the same database through it.
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html StartupMessage
 */
export async function startStrictPooler(target: string, releaser: Releaser): Promise<string> {
  const url = new URL(target)
  const { hostname, port: targetPort } = url
  const sockets = new Set<Socket>()

  function keep(socket: Socket): Socket {
    sockets.add(socket)
    socket.on('error', () => {})
    return socket.on('close', () => sockets.delete(socket))
  }

  function forward(client: Socket, startup: Buffer): void {
    const upstream = keep(connect(Number(targetPort), hostname))
    upstream.write(startup)
    client.pipe(upstream).pipe(client)
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  }

  const server = createServer((client) => {
    keep(client)
    let received = Buffer.alloc(0)
    client.on('data', function read(chunk: Buffer) {
      received = Buffer.concat([received, chunk])
      if (received.length < 8 || received.length < received.readUInt32BE(0)) return
      const code = received.readUInt32BE(4)
      if (code === SSL_REQUEST) {
        received = received.subarray(received.readUInt32BE(0))
        client.write('N')
        return
      }
      client.off('data', read)
      const refused = code === CANCEL_REQUEST ? undefined : findRefused(received)
      if (refused === undefined) forward(client, received)
      else client.end(errorMessage(`unsupported startup parameter: ${refused}`))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  releaser.onRelease(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The pooler has no port')
  url.port = String(address.port)
  return url.href
}

/** The first parameter of a startup message that is not accepted. */
function findRefused(startup: Buffer): string | undefined {
  const parameters = startup.subarray(8, startup.readUInt32BE(0)).toString().split('\0')
  return parameters.find((name, index) => index % 2 === 0 && name !== '' && !ACCEPTED.has(name))
}

/** An ErrorResponse of severity FATAL with SQLSTATE 08P01 (protocol violation), as PgBouncer sends it. */
function errorMessage(message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeUInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
