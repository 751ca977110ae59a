import { randomUUID } from 'node:crypto'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { openQueue, openRedis, prepareQueueBackend } from '../backend.ts'
import { DEAD_LETTER_QUEUE, MAX_JOB_LENGTH } from '../policy.ts'
import { bury, makeFailedEvent } from '../testing/dead-letter-fixtures.ts'
import type { BurialQueue, DeadLetterQueue } from './bury.ts'

const onError = (error: Error) => {
  throw error
}

describeBackends('burying', (kind) => {
  const releaser = useReleaser()
  let dead: DeadLetterQueue

  beforeAll(async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    dead = releaser.add(openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError }), (it) =>
      it.close(),
    )
  })

  const makeContent = (eventId: string, notification_id: string, more: { contentHash?: string } = {}) =>
    makeFailedEvent({
      eventId,
      ...more,
      fields: { notification_id, ...(more.contentHash && { content_hash: more.contentHash }) },
    })
  const contentOf = (letter: DeadLetter) => (letter.event as { notification_id: string }).notification_id
  /** The contents that are dead under an event's id. */
  async function findContents(eventId: string): Promise<string[]> {
    const jobs = await dead.getJobs(['prioritized'])
    return jobs
      .filter((job) => job.id?.startsWith(`dead-${eventId}`))
      .map((job) => contentOf(job.data))
      .sort()
  }
  /** As an operator does who redrives or deletes it. @returns the content that is dealt with. */
  async function takeAway(id: string): Promise<string | undefined> {
    const job = await dead.getJob(id)
    await job?.remove()
    return job && contentOf(job.data)
  }
  /** The queue, and what others do to it just before and just after something is added. */
  function whileAdding(others: { before?(): Promise<unknown>; after?(): Promise<unknown> }): BurialQueue {
    let isFirst = true
    return {
      getJob: (id) => dead.getJob(id),
      remove: (id) => dead.remove(id),
      async addBulk(jobs) {
        const act = isFirst
        isFirst = false
        if (act) await others.before?.()
        const added = await dead.addBulk(jobs)
        if (act) await others.after?.()
        return added
      },
    }
  }

  /** The queue where whoever wants something of it waits for a turn. */
  function takingTurns(scheduler: fc.Scheduler) {
    const inTurn = async <Result>(act: () => Promise<Result>): Promise<Result> => {
      await scheduler.schedule(Promise.resolve())
      return act()
    }
    const busy: BurialQueue = {
      getJob: (id) => inTurn(() => dead.getJob(id)),
      remove: (id) => inTurn(() => dead.remove(id)),
      addBulk: (jobs) => inTurn(() => dead.addBulk(jobs)),
    }
    return { inTurn, busy }
  }

  it('keeps another content under a dead id although an operator takes the first one away meanwhile', async () => {
    const eventId = randomUUID()
    await bury(dead, [makeContent(eventId, 'first')])
    const busy = whileAdding({ after: () => takeAway(`dead-${eventId}`) })
    expect(await bury(busy, [makeContent(eventId, 'second')])).toBe(0)
    expect(await findContents(eventId)).toContain('second')
  })

  it.each([
    ['with a key', ['1'.repeat(64), '2'.repeat(64)]],
    ['without one', []],
  ])('keeps both contents of one id that die at once, %s', async (_, [firstHash, secondHash]) => {
    const eventId = randomUUID()
    const first = makeContent(eventId, 'first', firstHash ? { contentHash: firstHash } : {})
    const second = makeContent(eventId, 'second', secondHash ? { contentHash: secondHash } : {})
    const busy = whileAdding({ before: () => bury(dead, [first]) })
    expect(await bury(busy, [second])).toBe(0)
    expect(await findContents(eventId)).toEqual(['first', 'second'])
  })

  it('does not bury again what an operator takes away at once', async () => {
    const eventId = randomUUID()
    const busy = whileAdding({ after: () => takeAway(`dead-${eventId}`) })
    expect(await bury(busy, [makeContent(eventId, 'only')])).toBe(0)
    expect(await findContents(eventId)).toEqual([])
  })

  it('counts what was dead before, and adds nothing for it', async () => {
    const eventId = randomUUID()
    const [first, second] = ['first', 'second'].map((content) => makeContent(eventId, content))
    if (!first || !second) throw new Error('There are two')
    expect(await bury(dead, [first, second, { ...first }])).toBe(1)
    expect(await bury(dead, [second, makeFailedEvent(), first])).toBe(2)
    expect(await findContents(eventId)).toEqual(['first', 'second'])
  })

  it('knows again what is longer, with the reason of its death, than a job may be', async () => {
    const failedEvent = makeFailedEvent({ fields: { metadata: { page: 'x'.repeat(MAX_JOB_LENGTH - 500) } } })
    expect(await bury(dead, [failedEvent])).toBe(0)
    expect(await bury(dead, [failedEvent])).toBe(1)
    expect(await findContents(failedEvent.eventId)).toHaveLength(1)
  })

  it('keeps an event whose id and key an unreadable one has', async () => {
    const eventId = randomUUID()
    const keyed = makeContent(eventId, 'mended', { contentHash: '4'.repeat(32) })
    const { contentHash: _, ...raw } = makeContent(eventId, 'unreadable', { contentHash: '4'.repeat(32) })
    const error = { code: 'invalid_event', message: 'status: Invalid option' }
    expect(await bury(dead, [{ ...raw, reason: 'invalid_event', error }])).toBe(0)
    expect(await bury(dead, [keyed])).toBe(0)
    expect(await findContents(eventId)).toEqual(['mended', 'unreadable'])
    expect(await bury(dead, [keyed])).toBe(1)
  })

  it('counts a conflict as dead that comes once more for another reason', async () => {
    const eventId = randomUUID()
    const event = makeContent(eventId, 'second', { contentHash: '3'.repeat(64) })
    expect(await bury(dead, [{ ...event, reason: 'conflict' }])).toBe(0)
    expect(await bury(dead, [{ ...event, reason: 'stalled' }])).toBe(1)
    expect(await findContents(eventId)).toEqual(['second'])
  })

  it('counts a repeat that another job buries at the same moment once, whoever is first', async () => {
    const failedEvent = makeFailedEvent({ sourceJobId: '1' })
    const others = { before: () => bury(dead, [{ ...failedEvent, sourceJobId: '2' }]) }
    expect(await bury(whileAdding(others), [failedEvent])).toBe(1)
  })

  it.each([
    ['conflict', 'unknown_user'],
    ['unknown_user', 'conflict'],
  ] as const)('keeps one entry of a content that dies as %s and meanwhile as %s', async (first, second) => {
    const eventId = randomUUID()
    const event = makeContent(eventId, 'same', { contentHash: '4'.repeat(64) })
    const others = { before: () => bury(dead, [{ ...event, reason: second, sourceJobId: '2' }]) }
    expect(await bury(whileAdding(others), [{ ...event, reason: first, sourceJobId: '1' }])).toBe(1)
    expect(await findContents(eventId)).toEqual(['same'])
    expect(await dead.getJob(`dead-${eventId}`)).toBeDefined()
  })

  it('keeps one entry of each content under a key, whoever buries it as what and when', async () => {
    const reason = fc.constantFrom('conflict' as const, 'unknown_user' as const, 'stalled' as const)
    const failedEvent = fc.record({ content: fc.constantFrom('a', 'b'), reason })
    const burials = fc.array(fc.array(failedEvent, { minLength: 1, maxLength: 3 }), {
      minLength: 2,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), burials, async (scheduler, bodies) => {
        const eventId = randomUUID()
        const { busy } = takingTurns(scheduler)
        const bury = (failedEvents: (typeof bodies)[number], job: number) =>
          bury(
            busy,
            failedEvents.map(({ content, reason }) => ({
              ...makeContent(eventId, content, { contentHash: content.repeat(64) }),
              reason,
              sourceJobId: String(job),
            })),
          )
        const before = await scheduler.waitFor(Promise.all(bodies.map(bury)))
        const contents = new Set(bodies.flat().map(({ content }) => content))
        expect(await findContents(eventId)).toEqual([...contents].sort())
        // Each death is an entry or was dead before; what both buriers of a pair saw, both count.
        const repeats = before.reduce((sum, count) => sum + count, 0)
        expect(repeats).toBeGreaterThanOrEqual(bodies.flat().length - contents.size)
      }),
      { numRuns: 20 },
    )
  })

  it('loses no content, whoever buries and whoever takes away at the same time', async () => {
    const content = fc.constantFrom('a', 'b', 'c')
    const contents = fc.array(content, { minLength: 1, maxLength: 2 })
    const burials = fc.array(contents, { minLength: 2, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), contents, burials, async (scheduler, before, bodies) => {
        const eventId = randomUUID()
        const bury = (queue: BurialQueue, names: string[]) =>
          bury(
            queue,
            names.map((name) => makeContent(eventId, name)),
          )
        await bury(dead, before)
        const { inTurn, busy } = takingTurns(scheduler)
        // An operator deals with what was dead when the command was given.
        const [oldest] = before
        const [, taken] = await scheduler.waitFor(
          Promise.all([
            Promise.all(bodies.map((names) => bury(busy, names))),
            inTurn(() => takeAway(`dead-${eventId}`)),
          ]),
        )
        expect(taken).toBe(oldest)
        expect([taken, ...(await findContents(eventId))]).toEqual(
          expect.arrayContaining([...new Set([...before, ...bodies.flat()])]),
        )
      }),
      { numRuns: 30 },
    )
  })
})
