import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type FaultyLink, openLink } from './faulty-link.ts'

/** A server that answers each chunk with itself. */
const server = createServer((socket) => socket.pipe(socket))
let link: FaultyLink
let client: Socket

beforeEach(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  link = await openLink(`redis://127.0.0.1:${address.port}`)
  client = connect(Number(new URL(link.url).port), '127.0.0.1')
  await once(client, 'connect')
})

afterEach(async () => {
  client.destroy()
  await link.close()
  server.close()
  await once(server, 'close')
})

async function ask(text: string): Promise<string> {
  client.write(text)
  const [answer] = await once(client, 'data')
  return String(answer)
}

it('forwards in both directions', async () => {
  expect(await ask('one')).toBe('one')
  expect(await ask('two')).toBe('two')
})

it('swallows until it is repaired, and then delivers', async () => {
  expect(await ask('before')).toBe('before')
  link.disturb('swallows')
  const answer = ask('held')
  const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200, 'nothing'))])
  expect(first).toBe('nothing')
  link.repair()
  expect(await answer).toBe('held')
})

it('ends the side of the client alone', async () => {
  expect(await ask('before')).toBe('before')
  link.disturb('half-closes')
  client.resume()
  await once(client, 'end')
})

it('delays each read', async () => {
  link.disturb('delays')
  const startedAt = performance.now()
  expect(await ask('slow')).toBe('slow')
  expect(performance.now() - startedAt).toBeGreaterThan(500)
})
