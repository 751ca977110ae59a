import { createTestBackend, describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { openQueue } from '../backend.ts'
import { openRedis, type RedisConnection } from '../open-redis.ts'
import { DEAD_LETTER_QUEUE } from '../policy.ts'
import { bury, makeFailedEvent, readPage } from '../testing/dead-letter-fixtures.ts'
import type { DeadLetterQueue } from './bury.ts'
import { deadLetterId } from './entry-id.ts'
import { openDeadLetters } from './open.ts'
import type { DeadLetterStore } from './store.ts'

describeRedis('damaged dead letters', () => {
  const releaser = useReleaser()
  let redis: RedisConnection
  let dead: DeadLetterQueue
  let store: DeadLetterStore

  beforeAll(async () => {
    const backend = await createTestBackend('redis', releaser)
    const onError = () => undefined
    redis = releaser.add(openRedis(backend, 'patient', onError), (opened) => opened.disconnect())
    dead = openQueue(DEAD_LETTER_QUEUE, backend, redis, { onError })
    store = await openDeadLetters({ backend, shards: 1, onError })
    for (const part of [dead, store]) releaser.onRelease(() => part.close())
  })
  beforeEach(() => dead.obliterate({ force: true }))

  const order = () => dead.toKey('prioritized')
  async function buryThree(): Promise<[string, string, string]> {
    const events = [makeFailedEvent(), makeFailedEvent(), makeFailedEvent()]
    await bury(dead, events)
    const [first = '', second = '', third = ''] = events.map(deadLetterId)
    return [first, second, third]
  }
  const listIds = async () => (await readPage(store, { limit: 10 })).map(({ entry }) => entry.id)

  test('there are none among whole ones', async () => {
    await buryThree()
    expect(await store.findDamage()).toEqual([])
  })

  test('one without content is no longer counted after it was mended', async () => {
    const [first, second, third] = await buryThree()
    await redis.del(dead.toKey(first), dead.toKey(second))
    const damaged = await store.findDamage()
    expect(damaged.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual(
      [first, second].toSorted().map((id) => ({ id, damage: 'no_content' })),
    )
    // Looking changes nothing.
    expect(await store.count()).toBe(3)
    expect(await store.mendDamage(damaged)).toHaveLength(2)
    expect(await store.count()).toBe(1)
    expect(await listIds()).toEqual([third])
    expect(await store.findDamage()).toEqual([])
  })

  test('one without its place is listed last after it was mended, and can be buried after it was discarded', async () => {
    const [first, second, third] = await buryThree()
    await redis.zrem(order(), first)
    expect(await listIds()).toEqual([second, third])
    const damaged = await store.findDamage()
    expect(damaged).toEqual([{ id: first, damage: 'no_place' }])
    await store.mendDamage(damaged)
    expect(await listIds()).toEqual([second, third, first])
    const later = makeFailedEvent()
    await bury(dead, [later])
    expect(await listIds()).toEqual([second, third, first, deadLetterId(later)])
    expect(await store.discard(await store.get([first]))).toEqual([first])
    expect(await store.findDamage()).toEqual([])
  })

  test('a key of another type is named, and stays', async () => {
    const [first] = await buryThree()
    await redis.del(dead.toKey(first))
    await redis.set(dead.toKey(first), 'x')
    await redis.set(dead.toKey('dead-other'), 'y')
    const damaged = await store.findDamage()
    expect(damaged.toSorted((a, b) => b.id.localeCompare(a.id))).toEqual(
      ['dead-other', first].map((id) => ({ id, damage: 'other_type' })),
    )
    await store.mendDamage(damaged)
    expect(await redis.get(dead.toKey(first))).toBe('x')
    expect(await store.findDamage()).toHaveLength(2)
    await redis.del(dead.toKey(first), dead.toKey('dead-other'))
  })

  test('what was redriven or buried since it was found is left alone', async () => {
    const [first] = await buryThree()
    const stale = [
      { id: first, damage: 'no_place' },
      { id: 'dead-gone', damage: 'no_content' },
    ] as const
    expect(await store.mendDamage(stale)).toEqual([])
    expect(await store.count()).toBe(3)
  })
})
