import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Releaser } from './releaser.ts'

/** A way to a server that can be taken away and given back. */
export interface TcpProxy {
  port: number
  /** Ends every connection and refuses new ones. */
  cut(): Promise<void>
  restore(): Promise<void>
  /** Every connection stays open and nothing passes any more, as when a peer vanishes. New ones work. */
  silence(): void
}

/** Forwards a local port to `target`, a URL with host and port. */
export async function startTcpProxy(target: string, releaser: Releaser): Promise<TcpProxy> {
  const { hostname, port: targetPort } = new URL(target)
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
  }
}
