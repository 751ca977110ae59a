import { randomUUID } from 'node:crypto'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { openQueue, prepareQueueBackend } from '../backend.ts'
import { openRedis } from '../open-redis.ts'
import { DEAD_LETTER_QUEUE } from '../policy.ts'
import { bury, makeFailedEvent } from '../testing/dead-letter-fixtures.ts'
import { buryEvents, type DeadLetterQueue, type FailedEvent } from './bury.ts'
import { deadLetterId, eventIdOf } from './entry-id.ts'

const onError = (error: Error) => {
  throw error
}

/** One of several contents under an event id, with or without an idempotency key. */
function makeContent(eventId: string, notificationId: string, contentHash?: string): FailedEvent {
  const fields = { notification_id: notificationId, ...(contentHash && { content_hash: contentHash }) }
  return makeFailedEvent({ eventId, contentHash, fields })
}

describe('the id of a dead letter', () => {
  const eventId = randomUUID()

  it('names the event and the start of its content digest', () => {
    const keyed = makeContent(eventId, 'n', 'abcdef0123456789')
    expect(deadLetterId(keyed)).toBe(`dead-${eventId}-abcdef01`)
    expect(deadLetterId(makeContent(eventId, 'n'))).toMatch(new RegExp(`^dead-${eventId}-[0-9a-f]{8}$`))
  })

  it('is the same when the event comes again: received later, or redriven', () => {
    const failed = makeFailedEvent({ eventId })
    const event = failed.event as Record<string, unknown>
    const later = '2030-01-01T00:00:00.000Z'
    const again = { ...event, received_at: later, timestamp: later, redrives: 2 }
    expect(deadLetterId({ ...failed, event: again })).toBe(deadLetterId(failed))
    const sameTime = { ...event, received_at: later }
    expect(deadLetterId({ ...failed, event: sameTime })).not.toBe(deadLetterId(failed))
  })

  it('differs for another content, and does not depend on the order of fields', () => {
    const event = { notification_id: 'n', status: 'sent' }
    const id = deadLetterId({ eventId, event })
    expect(deadLetterId({ eventId, event: { status: 'sent', notification_id: 'n' } })).toBe(id)
    expect(deadLetterId({ eventId, event: { ...event, status: 'delivered' } })).not.toBe(id)
  })

  it('leads back to the event id, whatever the content is', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.jsonValue(), (id, event) => {
        expect(eventIdOf(deadLetterId({ eventId: id, event }))).toBe(id)
        expect([eventIdOf(id), eventIdOf(`dead-${id}`)]).toEqual([id, id])
      }),
    )
  })
})

describeBackends('burying', (kind) => {
  const releaser = useReleaser()
  let dead: DeadLetterQueue

  beforeAll(async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    dead = releaser.add(openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError }), (it) =>
      it.close(),
    )
  })

  /** The notification ids of all dead letters of an event. */
  async function findContents(eventId: string): Promise<unknown[]> {
    const jobs = await dead.getJobs(['prioritized'])
    const letters = jobs.filter((job) => eventIdOf(job.id ?? '') === eventId).map((job) => job.data)
    return letters.map(({ event }) => (event as { notification_id: unknown }).notification_id).sort()
  }

  it('keeps one dead letter of an event, however often and for whatever reason it is buried', async () => {
    const failed = makeContent(randomUUID(), 'only', '3'.repeat(64))
    await bury(dead, [{ ...failed, reason: 'conflict' }, failed])
    await Promise.all([bury(dead, [{ ...failed, reason: 'stalled' }]), bury(dead, [failed])])
    expect(await findContents(failed.eventId)).toEqual(['only'])
    expect((await dead.getJob(deadLetterId(failed)))?.data.reason).toBe('conflict')
  })

  it.each([
    ['with a key', ['1'.repeat(64), '2'.repeat(64)]],
    ['without a key', []],
  ])('keeps both contents under one event id, %s', async (_, [firstHash, secondHash]) => {
    const eventId = randomUUID()
    const [first, second] = [
      makeContent(eventId, 'first', firstHash),
      makeContent(eventId, 'second', secondHash),
    ]
    await Promise.all([bury(dead, [first]), bury(dead, [second]), bury(dead, [second, first])])
    expect(await findContents(eventId)).toEqual(['first', 'second'])
  })

  it('keeps an unreadable event beside the readable one with its id and key', async () => {
    const eventId = randomUUID()
    const readable = makeContent(eventId, 'readable', '4'.repeat(32))
    const { contentHash: _, ...raw } = makeContent(eventId, 'unreadable', '4'.repeat(32))
    const error = { code: 'invalid_event', message: 'status: Invalid option' }
    await bury(dead, [{ ...raw, reason: 'invalid_event', error }, readable])
    expect(await findContents(eventId)).toEqual(['readable', 'unreadable'])
  })

  it('buries the event of an erased user once, without what names the user', async () => {
    const failed = makeFailedEvent({ fields: { user_id: randomUUID(), error: 'no box ann@example.com' } })
    const everybodyErased = async (ids: readonly string[]) => new Set(ids)
    await buryEvents([dead], [failed], everybodyErased)
    await bury(dead, [failed])
    const job = await dead.getJob(deadLetterId(failed))
    expect(job?.data.event).toMatchObject({ id: failed.eventId, error: '[erased]' })
    expect(job?.data.event).not.toHaveProperty('user_id')
    expect(await findContents(failed.eventId)).toHaveLength(1)
  })

  it('keeps one dead letter of each content, in whatever order jobs bury them', async () => {
    const content = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      reason: fc.constantFrom('conflict' as const, 'unknown_user' as const, 'stalled' as const),
    })
    const burials = fc.array(fc.array(content, { minLength: 1, maxLength: 3 }), {
      minLength: 2,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), burials, async (scheduler, jobs) => {
        const eventId = randomUUID()
        const slow = {
          async addBulk(...added: Parameters<typeof dead.addBulk>) {
            await scheduler.schedule(Promise.resolve())
            return dead.addBulk(...added)
          },
        }
        const all = jobs.map((job) =>
          bury(
            slow,
            job.map(({ name, reason }) => ({ ...makeContent(eventId, name, name.repeat(64)), reason })),
          ),
        )
        await scheduler.waitFor(Promise.all(all))
        const names = new Set(jobs.flat().map(({ name }) => name))
        expect(await findContents(eventId)).toEqual([...names].sort())
      }),
      { numRuns: 20 },
    )
  })
})
