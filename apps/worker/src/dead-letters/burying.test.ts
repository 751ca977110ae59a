import { randomUUID } from 'node:crypto'
import { recordErasure } from '@tidings/db/users/erased-users'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { FaultyStore } from '../testing/faulty-store.ts'
import { TestWorker } from '../testing/test-worker.ts'

describeBackends('the worker', (kind) => {
  const releaser = useReleaser()
  const store = new FaultyStore()
  let worker: TestWorker

  beforeAll(async () => {
    worker = await TestWorker.start(kind, releaser, { wrapStore: store.wrap })
  })

  it('buries an event of an unknown user at once, and stores the others in its job', async () => {
    const orphan = makeEvent({ user_id: randomUUID() })
    const neighbour = makeEvent()
    await worker.untilDone(await worker.enqueue(orphan, neighbour))
    expect(await worker.findDeadLetters(orphan)).toMatchObject([
      { event: { id: orphan.id }, reason: 'unknown_user', attempts: 1, redrives: 0 },
    ])
    expect(await worker.findRows(orphan, neighbour)).toMatchObject([{ id: neighbour.id }])
  })

  it('buries an item that is not an event, and stores the others in its job', async () => {
    // A job in PostgreSQL cannot hold a NUL character.
    const bad = { ...makeEvent(), redrives: 2, provider: kind === 'redis' ? 'a\0b' : 'x'.repeat(1_000) }
    const neighbour = makeEvent()
    await worker.untilDone(await worker.enqueue(bad, neighbour))
    expect(await worker.findDeadLetters(bad)).toMatchObject([
      { reason: 'invalid_event', attempts: 1, redrives: 2 },
    ])
    expect(await worker.findRows(neighbour)).toHaveLength(1)
  })

  it('buries an event that PostgreSQL can never store after one attempt', async () => {
    store.failing.set('too-long', '22001')
    const event = makeEvent({ provider: 'too-long' })
    await worker.enqueue(event, makeEvent())
    expect(await worker.untilDead(event)).toMatchObject({ reason: 'invalid_event', attempts: 1 })
  })

  it('buries other content under a used idempotency key as a conflict', async () => {
    const first = makeEvent({ event_id: randomUUID() })
    const second = makeEvent({ event_id: first.event_id, status: 'sent' })
    await worker.untilDone(await worker.enqueue(first))
    await worker.untilDone(await worker.enqueue(second))
    expect(await worker.findDeadLetters(second)).toMatchObject([
      { reason: 'conflict', event: { status: 'sent' } },
    ])
    expect(await worker.findRows(first)).toMatchObject([{ status: 'delivered' }])
  })

  it('buries an event that names another user than the first of its notification as a conflict', async () => {
    const users = [randomUUID(), randomUUID()]
    for (const user of users) await worker.addUser(user)
    const notification_id = randomUUID()
    const [first, second] = users.map((user_id) => makeEvent({ notification_id, user_id }))
    if (first === undefined || second === undefined) return expect.unreachable()
    await worker.untilDone(await worker.enqueue(first, second))
    expect(await worker.findDeadLetters(second)).toMatchObject([
      { reason: 'conflict', error: { code: 'other_user' }, event: { id: second.id } },
    ])
    expect(await worker.findRows(first, second)).toMatchObject([{ id: first.id }])
  })

  it('buries each content under one key once, in one job or in several', async () => {
    const key = { event_id: randomUUID(), user_id: randomUUID() }
    const [first, second, third] = [
      makeEvent({ ...key, status: 'delivered' }),
      makeEvent({ ...key, status: 'sent' }),
      makeEvent({ ...key, status: 'pending' }),
    ]
    await worker.untilDone(await worker.enqueue(first, second))
    await worker.untilDone(await worker.enqueue(third, second))
    for (const event of [first, second, third])
      expect(await worker.findDeadLetters(event)).toMatchObject([{ event: { status: event.status } }])
  })

  it('buries each content of an unreadable event once, when a producer gave two of them one id', async () => {
    const lost = { ...makeEvent(), status: 'lost' }
    const found = { ...lost, status: 'found' }
    await worker.untilDone(await worker.enqueue(lost))
    await worker.untilDone(await worker.enqueue(found, lost))
    await worker.untilDone(await worker.enqueue(found))
    const letters = await worker.findDeadLetters({ id: lost.id })
    expect(letters.map(({ event }) => (event as typeof lost).status).toSorted()).toEqual(['found', 'lost'])
  })

  it('buries the events of an erased user without what names the user', async () => {
    const [erased, other] = [randomUUID(), randomUUID()]
    await recordErasure(worker.db, erased)
    const texts = { error: 'no such box: ada@example.com', metadata: { to: 'ada@example.com' } }
    const readable = makeEvent({ user_id: erased, ...texts })
    const unreadable = { ...makeEvent({ user_id: erased, ...texts }), status: 'no such status' }
    const kept = makeEvent({ user_id: other, ...texts })
    await worker.untilDone(await worker.enqueue(readable, unreadable, kept))

    const { id, notification_id, status } = readable
    const letters = [
      ...(await worker.findDeadLetters(readable)),
      ...(await worker.findDeadLetters(unreadable)),
    ]
    expect(letters).toHaveLength(2)
    expect(letters[0]).toMatchObject({
      event: { id, notification_id, status, error: '[erased]' },
      reason: 'unknown_user',
      error: { message: '[erased]' },
    })
    expect(JSON.stringify(letters)).not.toMatch(new RegExp(`${erased}|ada@`))
    expect(await worker.findDeadLetters(kept)).toMatchObject([{ event: { user_id: other, ...texts } }])
  })
})
