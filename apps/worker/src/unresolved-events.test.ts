import { randomUUID } from 'node:crypto'
import { resolveEvents } from '@tidings/db/events/resolve-events'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { findStoredContent } from '@tidings/db/events/stored-content'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { redriveDeadLetters } from '@tidings/queue/dead-letters/redrive'
import { createOutcomeTracker } from '@tidings/queue/dead-letters/redrive-outcomes'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { makeEvent, makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import { createUnreadableItem } from '@tidings/shared/unreadable-item'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { toFailedEvents } from './dead-letters/failed-events.ts'
import { openJobByJob } from './testing/job-by-job.ts'
import { TestWorker } from './testing/test-worker.ts'

/** The second look comes after this time, in milliseconds. Then the events are dead letters. */
const WAIT_MS = 1_500

describeBackends("a provider's events that name their message only", (kind) => {
  const releaser = useReleaser()
  const userId = randomUUID()
  let worker: TestWorker
  beforeAll(async () => {
    worker = await TestWorker.open(kind, releaser)
    await worker.start({ timing: { sweepIntervalMs: 100, unresolvedWaitMs: WAIT_MS } })
    await worker.addUser(userId)
  })

  /** Redrives the dead letter of an event, and waits for what becomes of it. */
  async function redrive({ id }: { id: string }) {
    const store = await openDeadLetters({ backend: worker.backend, shards: 1, onError: () => {} })
    releaser.add(store, () => store.close())
    const tracker = createOutcomeTracker({
      store,
      findStored: (events) => findStoredContent(worker.db, events),
      recipientKey: DEFAULT_RECIPIENT_KEY,
      patienceMs: 20_000,
    })
    const [entryId = ''] = await store.findByEvent(new Set([id]))
    await redriveDeadLetters(store, {
      selection: { kind: 'ids', ids: [entryId] },
      force: false,
      onBatch: async (moved) => {
        tracker.follow(moved)
        return undefined
      },
    })
    return tracker.settle(0)
  }
  const newMessage = () => ({ provider: 'ses', provider_message_id: `m-${randomUUID()}` })

  it.concurrent('become rows of the notification that an earlier event names, with its user', async () => {
    const message = newMessage()
    const sent = makeEvent({ ...message, status: 'sent', user_id: userId, attempt: 2, category: 'news' })
    await worker.untilDone(await worker.enqueue(sent))
    const events = [makeUnresolvedEvent(message), makeUnresolvedEvent({ ...message, status: 'opened' })]
    await worker.untilDone(await worker.enqueue(...events, events[0]))
    const named = { notification_id: sent.notification_id, user_id: userId, attempt: 2, category: 'news' }
    expect(await worker.findRows(...events)).toMatchObject([named, named])
  })

  it.concurrent('wait for an event that is in the same job or comes later', async () => {
    const [message, later] = [newMessage(), newMessage()]
    const [sent, sentLater] = [message, later].map((fields) => makeEvent({ ...fields, status: 'sent' }))
    const [first, second] = [makeUnresolvedEvent(message), makeUnresolvedEvent(later)]
    await worker.enqueue(first, sent, second)
    await worker.untilStored({ id: sent?.id ?? '' })
    await worker.enqueue(sentLater)
    await worker.untilStored(first, second)
    const rows = await worker.findRows(first, second)
    expect(new Set(rows.map((row) => row.notification_id))).toEqual(
      new Set([sent?.notification_id, sentLater?.notification_id]),
    )
  })

  it.concurrent('are dead letters when no event names their notification, and rows after a redrive', async () => {
    const message = newMessage()
    const complaint = makeUnresolvedEvent({
      ...message,
      status: 'complained',
      recipient: `${randomUUID()}@x.com`,
    })
    await worker.enqueue(complaint)
    expect(await worker.untilDead(complaint)).toMatchObject({
      reason: 'unknown_notification',
      event: complaint,
    })

    const sent = makeEvent({ ...message, status: 'sent' })
    await worker.untilDone(await worker.enqueue(sent))
    expect(await redrive(complaint)).toEqual({ stored: 1, dead: 0, pending: 0 })
    expect(await worker.findRows(complaint)).toMatchObject([{ notification_id: sent.notification_id }])
    const { rows } = await worker.db.pool.query('SELECT reason FROM suppressions WHERE event_id = $1', [
      complaint.id,
    ])
    expect(rows).toEqual([{ reason: 'complaint' }])
  })

  it.concurrent('are found again after an older worker buried them as invalid', async () => {
    const message = newMessage()
    const sent = makeEvent({ ...message, status: 'sent' })
    await worker.untilDone(await worker.enqueue(sent))
    const event = makeUnresolvedEvent(message)
    const error = { code: 'invalid_event', message: 'notification_id: This field is required.' }
    const { id: eventId, content_hash: contentHash } = event
    await bury(worker.deadLetters, [
      makeFailedEvent({ eventId, contentHash, event, reason: 'invalid_event', error }),
    ])
    expect(await redrive(event)).toEqual({ stored: 1, dead: 0, pending: 0 })
    expect(await worker.findRows(event)).toMatchObject([{ notification_id: sent.notification_id }])
  })

  it.concurrent('leave one dead letter of what their receiver could not read, and one only', async () => {
    const report = { problem: 'event: unknown', provider: 'ses', source: randomUUID(), payload: { a: 1 } }
    const send = () => worker.enqueue(createUnreadableItem({ ...report, receivedAt: new Date() }))
    await worker.untilDone(await send())
    await worker.untilDone(await send())
    const letters = (await worker.deadLetters.getJobs(['prioritized'])).filter(
      ({ data }) => (data.event as { source?: string }).source === report.source,
    )
    expect(letters.map(({ data }) => data)).toMatchObject([
      { reason: 'invalid_event', error: { message: report.problem }, event: { payload: { a: 1 } } },
    ])
  })
})

describeBackends('a failed job with events that name their message only', (kind) => {
  const releaser = useReleaser()

  it('is buried with all of them, unless they are stored', async () => {
    const worker = await TestWorker.open(kind, releaser)
    const [message, event] = [{ provider: 'ses', provider_message_id: 'm-1' }, makeEvent()]
    const [stored, unstored] = [makeUnresolvedEvent(message), makeUnresolvedEvent()]
    const sent = makeEvent({ ...message, status: 'sent' })
    const { queue, takeJob } = openJobByJob(worker.backend, releaser)
    await queue.add(ENVELOPE_JOB, { v: 1, events: [event, stored, unstored] }, ENVELOPE_JOB_OPTIONS)
    const job = await takeJob()
    job.attemptsMade = ENVELOPE_JOB_OPTIONS.attempts
    expect(toFailedEvents(job)).toHaveLength(3)
    await job.moveToFailed(new Error('as the test says'), 'token')
    await waitFor('the job to fail', async () => (await queue.getFailedCount()) === 1)

    // Another delivery of one event was stored meanwhile.
    await storeStatusEvents(worker.db, [sent])
    const [resolved] = await resolveEvents(worker.db, [stored], DEFAULT_RECIPIENT_KEY)
    expect(await storeStatusEvents(worker.db, resolved ? [resolved] : [])).toEqual(['stored'])
    await worker.start({ timing: { sweepIntervalMs: 100, unresolvedWaitMs: WAIT_MS } })
    await worker.untilDead(unstored)
    await worker.untilIdle()
    expect(await worker.findDeadLetters(unstored)).toMatchObject([
      { reason: 'retries_exhausted', event: unstored },
    ])
    expect(await worker.findDeadLetters(event)).toHaveLength(1)
    expect(await worker.findDeadLetters(stored)).toEqual([])
  })
})
