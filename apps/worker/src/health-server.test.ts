import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { Registry } from 'prom-client'
import { beforeAll, describe, expect, it } from 'vitest'
import { serveWorkerHttp } from './health-server.ts'

const releaser = useReleaser()
let port: number
beforeAll(async () => {
  const server = await serveWorkerHttp({
    port: 0,
    host: '127.0.0.1',
    registry: new Registry(),
    isReady: () => true,
  })
  releaser.onRelease(() => {
    server.close()
    server.closeAllConnections()
  })
  port = (server.address() as AddressInfo).port
})

function openConnection() {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  socket.on('end', () => socket.end())
  releaser.onRelease(() => void socket.destroy())
  return socket
}

describe("the worker's port", () => {
  it('answers a plain health check, HTTP/1.0 without a Host, of a client that then sends no more', async () => {
    const socket = openConnection()
    socket.end('GET /health/ready HTTP/1.0\r\n\r\n')
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK/)
  })

  it.each([
    ['no Host', 'GET /health HTTP/1.1\r\n\r\n', 400],
    ['two Host lines', 'GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['an invalid Host', 'GET /health HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 400],
    ['an unknown expectation', 'GET /health HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n', 417],
    ['headers over 16 KB', `GET /health HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, 431],
  ])('answers with a problem and closes the connection: %s', async (_name, bytes, status) => {
    const socket = openConnection()
    socket.write(bytes)
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head).toMatch(/^content-type: application\/problem\+json\r?$/im)
    expect(JSON.parse(body)).toMatchObject({ type: 'about:blank', status, detail: expect.any(String) })
  })

  it('drops a connection that asks for hundreds of answers at once', async () => {
    const socket = openConnection().resume()
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1_200))
    await closed
    expect(socket.bytesRead).toBeLessThan(10_000)
  })

  it('keeps idle connections for longer than load balancers do', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/health/live`)
    expect(answer.headers.get('keep-alive')).toBe('timeout=65')
  })
})
