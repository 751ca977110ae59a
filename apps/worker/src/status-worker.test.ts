import { randomUUID } from 'node:crypto'
import { removeExpiredKeys } from '@tidings/db/events/event-keys'
import { addToOutbox, countOutboxEvents } from '@tidings/db/events/event-outbox'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { FaultyStore } from './testing/faulty-store.ts'
import { TestWorker } from './testing/test-worker.ts'

describeBackends('the worker', (kind) => {
  const releaser = useReleaser()
  const store = new FaultyStore()
  const userId = randomUUID()
  let worker: TestWorker
  let duplicates = 0

  beforeAll(async () => {
    const ignore = () => {}
    worker = await TestWorker.start(kind, releaser, {
      wrapStore: store.wrap,
      count: {
        stored: ignore,
        dead: ignore,
        retried: ignore,
        duplicate: (events) => {
          duplicates += events
        },
      },
    })
    await worker.addUser(userId)
  })

  it('stores all events of a job and removes the job', async () => {
    const full = makeEvent({
      user_id: userId,
      status: 'bounced',
      error: { code: '550', class: 'permanent', message: 'no such mailbox' },
      attempt: 2,
      provider: 'ses',
      provider_message_id: 'm-1',
      metadata: { campaign: 'ä' },
      event_id: 'e-1',
    })
    const small = makeEvent({}, 'push')
    await worker.untilDone(await worker.enqueue(full, small))
    expect(await worker.findRows(full)).toMatchObject([
      {
        event_id: 'e-1',
        user_id: userId,
        notification_type: 'email',
        status: 'bounced',
        error: 'no such mailbox',
        error_code: '550',
        error_class: 'permanent',
        attempt: 2,
        provider: 'ses',
        provider_message_id: 'm-1',
        metadata: { campaign: 'ä' },
        source: 'test',
      },
    ])
    expect(await worker.findRows(small)).toMatchObject([{ notification_type: 'push', user_id: null }])
  })

  it('stores an event once when its dead letter is sent back after its key was removed', async () => {
    const at = new Date(Date.now() - 40 * 86_400_000).toISOString()
    const event = { ...makeEvent({ event_id: randomUUID() }), received_at: at }
    await worker.untilDone(await worker.enqueue(event))
    expect(await removeExpiredKeys(worker.db, new Date(Date.now() - 35 * 86_400_000))).toBe(1)
    await worker.untilDone(await worker.enqueue({ ...event, redrives: 1 }))
    expect(await worker.findRows(event)).toHaveLength(1)
    expect(await worker.findDeadLetters(event)).toEqual([])
  })

  it('stores an event once, however often it is enqueued', async () => {
    const event = makeEvent({ event_id: randomUUID() })
    const before = duplicates
    await Promise.all([worker.enqueue(event, event), worker.enqueue(event), worker.enqueue(event)])
    await worker.untilIdle()
    expect(await worker.findRows(event)).toHaveLength(1)
    expect(duplicates - before).toBe(3)
  })

  it('waits for the end of an outage without counting an attempt', async () => {
    store.failing.set('outage', '57P03')
    const event = makeEvent({ provider: 'outage' })
    const { id = '' } = await worker.enqueue(event)
    await waitFor('several attempts', () => (store.attempts.get(event.id) ?? 0) >= 2)
    expect(await worker.queue.getJob(id)).toMatchObject({ attemptsMade: 0 })
    store.failing.delete('outage')
    await worker.untilStored(event)
  })

  it('relays the events in the outbox', async () => {
    const event = makeEvent()
    await addToOutbox(worker.db, [event], 'the test says so')
    await worker.untilStored(event)
    await waitFor('an empty outbox', async () => (await countOutboxEvents(worker.db)) === 0)
  })
})
