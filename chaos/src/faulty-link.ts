import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export const LINK_FAULTS = ['swallows', 'half-closes', 'delays'] as const
export type LinkFault = (typeof LINK_FAULTS)[number]

const DELAY_MS = 300

/** A TCP connection between two programs that can be disturbed. */
export interface FaultyLink {
  /** The same URL, through the link. */
  url: string
  /**
   * Disturbs open and new connections. `swallows`: they stay open, and nothing arrives. `half-closes`: the client reads an
   * end, and the server does not. `delays`: each read takes 300 ms longer.
   */
  disturb(fault: LinkFault): void
  /** Forwards again, what was swallowed too: that is what TCP does after a break. */
  repair(): void
  close(): Promise<void>
}

/** Opens a link to the host and port of a URL. */
export async function openLink(target: string): Promise<FaultyLink> {
  const url = new URL(target)
  const [host, port] = [url.hostname, Number(url.port)]
  const clients = new Set<Socket>()
  const sockets = new Set<Socket>()
  let fault: LinkFault | undefined
  let repaired = Promise.withResolvers<void>()
  repaired.resolve()

  const passOn = async (chunk: Buffer, from: Socket, to: Socket) => {
    from.pause()
    if (fault === 'delays') await sleep(DELAY_MS)
    if (fault === 'swallows') await repaired.promise
    if (!to.destroyed && to.writable) to.write(chunk)
    from.resume()
  }
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host, port, allowHalfOpen: true })
    clients.add(client)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (chunk: Buffer) => void passOn(chunk, from, to))
      from.on('end', () => to.end())
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        clients.delete(client)
        to.destroy()
      })
    }
    if (fault === 'half-closes') client.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The link has no port')
  url.hostname = '127.0.0.1'
  url.port = String(address.port)

  return {
    url: url.href,
    disturb(next) {
      fault = next
      if (next === 'swallows') repaired = Promise.withResolvers()
      if (next === 'half-closes') for (const client of clients) client.end()
    },
    repair() {
      fault = undefined
      repaired.resolve()
    },
    async close() {
      repaired.resolve()
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
