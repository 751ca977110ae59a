import { Command } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { type QueueBackend, queueBackendOf, type RedisBackend } from './backend.ts'
import { deadLetterNames, keyPrefixOf, shardNames } from './queue-names.ts'

const SLOTS = 16_384
const MOST_SHARDS = 64
const single: RedisBackend = { kind: 'redis', url: 'redis://localhost', prefix: 'tidings' }
const cluster: RedisBackend = { ...single, url: 'redis+cluster://localhost' }

const slotOf = (queue: string) =>
  new Command('get', [`${keyPrefixOf(cluster, queue)}:${queue}:wait`]).getSlot()

describe('the names of the queues', () => {
  it('have no hash tags on one Redis, and there is one dead-letter queue', () => {
    expect(shardNames(3)).toEqual(['status-events', 'status-events-1', 'status-events-2'])
    expect(deadLetterNames(single, 3)).toEqual(['status-events-dead'])
    expect(keyPrefixOf(single, 'status-events-2')).toBe('tidings')
    const postgres: QueueBackend = { kind: 'postgres', url: '', schema: 'bullmq' }
    expect(deadLetterNames(postgres, 3)).toEqual(['status-events-dead'])
  })

  it('put a shard and its dead letters into one slot of a cluster', () => {
    expect(keyPrefixOf(cluster, 'outbound-messages')).toBe('tidings:{0j}')
    const dead = deadLetterNames(cluster, MOST_SHARDS)
    const slots = shardNames(MOST_SHARDS).map(slotOf)
    expect(dead.map(slotOf)).toEqual(slots)
    expect(new Set(slots).size).toBe(MOST_SHARDS)
  })

  it('spread any number of shards evenly over 1 to 6 masters', () => {
    const slots = shardNames(MOST_SHARDS).map((name) => slotOf(name) ?? 0)
    for (let masters = 1; masters <= 6; masters++)
      for (let shards = 1; shards <= MOST_SHARDS; shards++) {
        const counts = Array.from({ length: masters }, () => 0)
        for (const slot of slots.slice(0, shards)) {
          const master = Math.min(masters - 1, Math.floor((slot / SLOTS) * masters))
          counts[master] = (counts[master] ?? 0) + 1
        }
        expect(Math.max(...counts) - Math.min(...counts), `${shards} on ${masters}`).toBeLessThanOrEqual(1)
      }
  })

  it('refuse a prefix with a hash tag of its own on a cluster', () => {
    const settings = { DATABASE_URL: '', REDIS_URL: cluster.url, QUEUE_PREFIX: '{tidings}' }
    expect(() => queueBackendOf(settings)).toThrow('QUEUE_PREFIX: may hold no { } on a cluster')
    expect(queueBackendOf({ ...settings, REDIS_URL: single.url })).toMatchObject({ prefix: '{tidings}' })
  })
})
