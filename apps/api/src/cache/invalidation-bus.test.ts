import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestDatabase,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'
import { connectRedis, openTestRedis } from '../testing/test-redis.ts'
import type { InvalidationBus } from './invalidation-bus.ts'
import { PostgresBus } from './postgres-bus.ts'
import { createRedisBus } from './redis-bus.ts'

const log = createLogger('test', 'silent')
const releaser = useReleaser()

/** Records messages as text. Leaves out everything before the first gap, at which the bus begins to listen. */
async function record(bus: InvalidationBus): Promise<string[]> {
  const received: string[] = []
  bus.subscribe({
    onChange: (topic, ids) => void received.push(`${topic} ${ids}`),
    onGap: () => void received.push('gap'),
  })
  await waitFor('the bus to listen', () => received.length > 0)
  received.length = 0
  return received
}

const UNREADABLE = ['', 'no JSON', '{"topic":', '{}', '{"topic":"user","ids":[1]}', 'null']

describe('the bus over PostgreSQL', () => {
  it('reports an unreadable message as a gap', async () => {
    const { database, url } = await createTestDatabase(releaser)
    const bus = releaser.add(new PostgresBus(database, { url, log }), (opened) => opened.close())
    const received = await record(bus)
    await database.pool.query('NOTIFY tidings_cache_changes')
    for (const text of UNREADABLE)
      await database.pool.query("SELECT pg_notify('tidings_cache_changes', $1)", [text])
    await bus.publish('user', ['a', 'b'])
    await waitFor('the last message', () => received.includes('user a,b'))
    expect(received).toEqual(['gap', ...UNREADABLE.map(() => 'gap'), 'user a,b'])
  })
})

describeRedis('the bus over Redis', () => {
  it('reports an unreadable message as a gap', async () => {
    const { url, prefix, connection } = await openTestRedis(releaser)
    const bus = releaser.add(createRedisBus(connection, { url, prefix, log }), (opened) => opened.close())
    const received = await record(bus)
    for (const text of UNREADABLE) await connection.publish(`${prefix}:cache:changes`, text)
    await bus.publish('user', ['a', 'b'])
    await waitFor('the last message', () => received.includes('user a,b'))
    expect(received).toEqual([...UNREADABLE.map(() => 'gap'), 'user a,b'])
  })

  it('reports a gap after a reconnect only once it listens again', async () => {
    // Private, because the test disconnects every listener.
    const { url } = await startTestRedis(releaser)
    const connection = await connectRedis(url, releaser)
    const bus = releaser.add(createRedisBus(connection, { url, prefix: 'bus', log }), (opened) =>
      opened.close(),
    )
    const channel = 'bus:cache:changes'
    const listeners: unknown[] = []
    bus.subscribe({
      onChange: () => {},
      onGap: async () => void listeners.push(await connection.pubsub('NUMSUB', channel)),
    })
    await waitFor('the first connection', () => listeners.length === 1)
    await connection.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await waitFor('the next connection', () => listeners.length === 2)
    expect(listeners).toEqual([
      [channel, 1],
      [channel, 1],
    ])
  })
})
