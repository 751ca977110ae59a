import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Releaser } from '../releaser.ts'

/** A way to a server that a test can cut and restore. */
export interface TcpProxy {
  port: number
  /** Ends every connection and refuses new ones. */
  cut(): Promise<void>
  restore(): Promise<void>
  /** Keeps every connection open and forwards nothing more, as when the peer vanishes. New connections work. */
  silence(): void
  /** Sends new connections elsewhere, as when a name leads to another server. */
  aim(target: string): void
}

/** Forwards a local port to `target`, a URL with host and port. */
export async function startTcpProxy(target: string, releaser: Releaser): Promise<TcpProxy> {
  let { hostname, port: targetPort } = new URL(target)
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    const upstream = connect(Number(targetPort), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream).pipe(client)
  })
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
  await listen(0)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port')
  const { port } = address

  const cut = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  releaser.onRelease(() => (server.listening ? cut() : undefined))
  return {
    port,
    cut,
    restore: () => listen(port),
    silence() {
      for (const socket of sockets) socket.unpipe().pause()
    },
    aim(next) {
      ;({ hostname, port: targetPort } = new URL(next))
    },
  }
}
