import { connect, createServer } from 'node:net'
import { listen } from '@tidings/runtime/http-server'
import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { createBoardQueues } from './board-queues.ts'

const INFO_SERVER = /info\r\n\$6\r\nserver/i

describeRedis('the queues of the board', () => {
  const releaser = useReleaser()

  /** A way to Redis on which `INFO server` gets no answer while `isSilent`. */
  async function startRelay(url: string) {
    const relay = { url: '', isSilent: true }
    const { hostname, port } = new URL(url)
    const server = createServer((client) => {
      const redis = connect(Number(port), hostname)
      releaser.onRelease(() => {
        client.destroy()
        redis.destroy()
      })
      client.on('data', (bytes) => {
        if (!relay.isSilent || !INFO_SERVER.test(bytes.toString('latin1'))) redis.write(bytes)
      })
      redis.on('data', (bytes) => client.write(bytes))
      for (const socket of [client, redis]) socket.on('error', () => {})
      client.on('close', () => redis.destroy())
    })
    releaser.onRelease(() => void server.close())
    const own = new URL(await listen(server, { port: 0, host: '127.0.0.1', portVariable: '' }))
    relay.url = Object.assign(new URL(url), { port: own.port }).href
    return relay
  }

  it('fail in time when a step of opening gets no answer, and open at the next call', async () => {
    const relay = await startRelay((await startTestRedis(releaser)).url)
    const backend = { kind: 'redis', url: relay.url, prefix: 'board' } as const
    const queues = createBoardQueues(backend, 1, () => {}, 500)
    await expect(queues.open()).rejects.toThrow('The queue does not answer.')
    relay.isSilent = false
    const opened = await queues.open()
    for (const queue of opened) releaser.onRelease(() => queue.close())
    expect(opened).toHaveLength(2)
  })
})
