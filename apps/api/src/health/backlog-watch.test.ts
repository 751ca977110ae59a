import type { Backlog } from '@tidings/queue/backlog'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { BacklogWatch, measureBacklog } from './backlog-watch.ts'

const DAY_MS = 86_400_000
const backlog = (eventMs: number, deadLetterMs: number): Backlog => ({
  events: new Map([
    ['shard', 0],
    ['shard-1', eventMs],
  ]),
  deadLetters: new Map([['dead', deadLetterMs]]),
})

async function ages(watch: BacklogWatch): Promise<string[]> {
  const registry = new Registry()
  measureBacklog(watch, registry)
  return (await registry.metrics()).split('\n').filter((line) => /^tidings/.test(line))
}

describe('the backlog', () => {
  it.each([
    { events: 299_999, deadLetters: 7 * DAY_MS - 1, isBeyond: false },
    { events: 300_000, deadLetters: 0, isBeyond: true },
    { events: 0, deadLetters: 7 * DAY_MS, isBeyond: true },
  ])('is beyond its limits: $isBeyond, at $events ms and $deadLetters ms', async (given) => {
    const watch = new BacklogWatch(async () => backlog(given.events, given.deadLetters))
    expect(await watch.isBeyondLimits()).toBe(given.isBeyond)
  })

  it('is a metric in seconds, for each queue', async () => {
    expect(await ages(new BacklogWatch(async () => backlog(1_500, 2_000)))).toEqual([
      'tidings_queue_oldest_age_seconds{queue="shard"} 0',
      'tidings_queue_oldest_age_seconds{queue="shard-1"} 1.5',
      'tidings_dead_letters_oldest_age_seconds{queue="dead"} 2',
    ])
  })

  it.each([
    { store: 'was not reached yet', read: async () => undefined },
    { store: 'fails', read: () => Promise.reject(new Error('away')) },
    { store: 'does not answer', read: () => new Promise<Backlog>(() => {}) },
  ])('is absent and within its limits while the store $store', async ({ read }) => {
    const watch = new BacklogWatch(read)
    expect(await watch.isBeyondLimits()).toBe(false)
    expect(await ages(watch)).toEqual([])
  })

  it('is read once for questions at the same time', async () => {
    let reads = 0
    const watch = new BacklogWatch(async () => {
      reads++
      return backlog(0, 0)
    })
    await Promise.all([watch.read(), watch.isBeyondLimits(), ages(watch)])
    expect(reads).toBe(1)
  })
})
