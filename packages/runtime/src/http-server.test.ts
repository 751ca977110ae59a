import { type IncomingMessage, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { CONNECTION_LIMITS, type ConnectionLimits, createHttpServer, listen } from './http-server.ts'

const get = (path: string, ...headers: string[]) =>
  `${[`GET ${path} HTTP/1.1`, 'Host: a', ...headers].join('\r\n')}\r\n\r\n`

/** Far more than the kernel takes for a client that does not read. */
const LARGE_BODY = Buffer.alloc(64 * 1024 * 1024)

let responses = 0
class CountedResponse extends ServerResponse<IncomingMessage> {
  readonly number = ++responses
}

describe('a server', () => {
  const closers: (() => void)[] = []
  afterEach(() => {
    for (const close of closers.splice(0).reverse()) close()
  })

  async function serve(
    handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
    limits: Partial<ConnectionLimits> = {},
  ) {
    const dropped = Promise.withResolvers<string>()
    const server = createHttpServer(
      {
        limits: { ...CONNECTION_LIMITS, ...limits },
        onDrop: dropped.resolve,
        ServerResponse: CountedResponse,
      },
      handle,
    )
    const url = await listen(server, { port: 0, host: '127.0.0.1', portVariable: 'PORT' })
    closers.push(() => {
      server.close()
      server.closeAllConnections()
    })
    return { port: Number(new URL(url).port), dropped: dropped.promise }
  }

  function openConnection(port: number): Socket {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    closers.push(() => void socket.destroy())
    return socket
  }

  it('handles the requests of a connection one at a time, in their order', async () => {
    let running = 0
    let mostRunning = 0
    const { port } = await serve((incoming, outgoing) => {
      mostRunning = Math.max(mostRunning, ++running)
      setImmediate(() => {
        running--
        outgoing.end(`<${incoming.url}>`)
      })
    })
    const socket = openConnection(port)
    const paths = Array.from({ length: 20 }, (_, n) => `/${n}`)
    socket.write(paths.map((path) => get(path)).join('') + get('/last', 'Connection: close'))
    const answers = await text(socket)
    expect([...answers.matchAll(/<(.*?)>/g)].map(([, path]) => path)).toEqual([...paths, '/last'])
    expect(mostRunning).toBe(1)
  })

  it('makes one answer for a client that reads none, and resets it', async () => {
    let handled = 0
    const { port, dropped } = await serve(
      (_, outgoing) => {
        handled++
        outgoing.end(LARGE_BODY)
      },
      { silentMs: 200 },
    )
    openConnection(port).write(get('/').repeat(20))
    expect(await dropped).toBe('unread_answer')
    expect(handled).toBe(1)
  })

  it('drops a connection when more than 32 requests wait for an answer', async () => {
    let handled = 0
    const before = responses
    const { port, dropped } = await serve(() => void handled++)
    const socket = openConnection(port).resume()
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(get('/').repeat(1_000))
    expect(await dropped).toBe('too_many_pipelined')
    await closed
    expect(handled).toBe(1)
    // Node makes none for the rest of what it has read.
    expect(responses - before).toBe(34)
  })

  it('serves 33 requests that were sent at once', async () => {
    const { port } = await serve((_, outgoing) => outgoing.end('<>'))
    const socket = openConnection(port)
    socket.end(get('/').repeat(33))
    expect((await text(socket)).match(/<>/g)).toHaveLength(33)
  })

  it('answers a client that closed its sending side after the request', async () => {
    const ended = Promise.withResolvers<void>()
    const { port } = await serve(async (incoming, outgoing) => {
      incoming.socket.once('end', ended.resolve)
      await ended.promise
      outgoing.end('late')
    })
    const socket = openConnection(port)
    socket.end(get('/'))
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*late/s)
  })

  it('closes an idle connection', async () => {
    const { port } = await serve((_, outgoing) => outgoing.end(), { keepAliveMs: 1 })
    const socket = openConnection(port)
    socket.write(get('/'))
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK/)
  })
})
