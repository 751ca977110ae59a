import { randomUUID } from 'node:crypto'
import { recordErasure } from '@tidings/db/users/erased-users'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import type { JobsOptions } from 'bullmq'
import { beforeAll, expect, it } from 'vitest'
import { FaultyStore } from '../testing/faulty-store.ts'
import { openProducer } from '../testing/open-producer.ts'
import { TestWorker } from '../testing/test-worker.ts'

// Four attempts take 2 to 4 seconds. The tests of a backend wait at the same time.
describeBackends('an event whose attempts all fail', (kind) => {
  const releaser = useReleaser()
  const store = new FaultyStore()
  let worker: TestWorker

  beforeAll(async () => {
    worker = await TestWorker.start(kind, releaser, { wrapStore: store.wrap })
    store.failing.set('locked', '55P03')
  })

  it.concurrent('is buried after exactly four attempts; the others in its job are stored', async () => {
    const unlucky = makeEvent({ provider: 'locked' })
    const neighbours = Array.from({ length: 20 }, () => makeEvent())
    await worker.enqueue(...neighbours.slice(0, 10), unlucky, ...neighbours.slice(10))
    await worker.untilStored(...neighbours)
    const letter = await worker.untilDead(unlucky)
    expect(letter).toMatchObject({ reason: 'retries_exhausted', attempts: 4, error: { code: '55P03' } })
    expect(letter.history.map((attempt) => attempt.code)).toEqual(Array(4).fill('55P03'))
    const times = letter.history.map((attempt) => attempt.at)
    expect(times).toEqual(times.toSorted())
  })

  it.concurrent('is tried as often and as soon, and kept, whatever options its producer set', async () => {
    const year = 365 * 24 * 3_600_000
    const options: JobsOptions[] = [
      {},
      { attempts: 1, removeOnFail: true },
      { attempts: 4, removeOnFail: { count: 0 } },
      { attempts: 1_000 },
      { attempts: 4, backoff: { type: 'a type of the producer' } },
      { attempts: 4, backoff: { type: 'fixed', delay: year } },
    ]
    const producer = openProducer(worker.backend, releaser)
    const events = options.map(() => makeEvent({ provider: 'locked' }))
    await Promise.all(
      options.map((opts, index) => producer.add('any name', { v: 1, events: [events[index]] }, opts)),
    )
    for (const event of events) {
      const letter = await worker.untilDead(event)
      expect(letter).toMatchObject({ reason: 'retries_exhausted', attempts: 4, error: { code: '55P03' } })
    }
  })

  it.concurrent('is buried without what names its user, if the user was erased between two attempts', async () => {
    const userId = randomUUID()
    const event = makeEvent({ user_id: userId, provider: 'locked', error: 'ada@example.com' })
    await worker.enqueue(event)
    await waitFor('the first attempt', () => store.attempts.has(event.id), { intervalMs: 10 })
    await recordErasure(worker.db, userId)
    const letter = await worker.untilDead(event)
    expect(letter).toMatchObject({ reason: 'retries_exhausted', error: { message: '[erased]' } })
    expect(letter.history.map((attempt) => attempt.message)).toEqual(Array(4).fill('[erased]'))
    expect(JSON.stringify(letter)).not.toMatch(new RegExp(`${userId}|ada@`))
  })

  it.concurrent('is buried if the row under its idempotency key has other content', async () => {
    const stored = makeEvent({ event_id: randomUUID() })
    await worker.untilDone(await worker.enqueue(stored))
    const other = makeEvent({ event_id: stored.event_id, provider: 'locked' })
    expect(other.id).toBe(stored.id)
    await worker.enqueue(other)
    expect(await worker.untilDead(other)).toMatchObject({
      reason: 'retries_exhausted',
      event: { provider: 'locked' },
    })
  })

  it.concurrent('is not buried if it is stored already', async () => {
    const event = makeEvent({ event_id: randomUUID(), provider: 'locked later' })
    await worker.untilDone(await worker.enqueue(event))
    store.failing.set('locked later', '55P03')
    await worker.untilDone(await worker.enqueue(event))
    expect(store.attempts.get(event.id)).toBeGreaterThanOrEqual(1 + 4)
    expect(await worker.findRows(event)).toHaveLength(1)
    expect(await worker.findDeadLetters(event)).toEqual([])
  })
})
