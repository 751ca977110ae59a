import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import type { DeadLetterEntry } from '@tidings/queue/dead-letters/entry'
import { deadLetterId } from '@tidings/queue/dead-letters/entry-id'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent, readPage } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLogger } from '@tidings/runtime/log'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  describeRedis,
  startTestRedis,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import { createDeadLetterEraser, type DeadLetterEraser } from './erase-dead-letters.ts'

const USERS = 15
const ENTRIES = 40

describeRedis('erasing many users from the dead letters at once', () => {
  const releaser = useReleaser()

  it('redacts each of them, and reads the dead letters at most twice', async () => {
    // Private, because the test counts the server's commands.
    const { url } = await startTestRedis(releaser)
    const redis = releaser.add(new Redis(url), (it) => it.disconnect())
    const backend: QueueBackend = { kind: 'redis', url, prefix: 'erasing' }
    const onError = (error: Error) => {
      throw error
    }
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    releaser.onRelease(() => queue.close())
    const users = Array.from({ length: USERS }, (_, n) => ({
      id: `018f2f6a-0000-7000-8000-0000000000${10 + n}`,
      email: `Owner-${10 + n}@example.com`,
    }))
    await bury(
      queue,
      Array.from({ length: ENTRIES }, (_, n) => {
        const { id, email } = users[n % USERS] ?? { id: '', email: '' }
        return makeFailedEvent({ fields: n % 2 === 0 ? { user_id: id } : { error: `no box ${email}` } })
      }),
    )
    const eraser = createDeadLetterEraser({ backend, shards: 1, log: createLogger('test', 'silent') })
    releaser.onRelease(() => eraser.close())
    const store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
    const readEntries = async () => (await readPage(store, { limit: ENTRIES + 1 })).map(({ entry }) => entry)
    const countPages = async () =>
      Number(/cmdstat_zrange:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)

    let before = await countPages()
    await eraser.erase({ id: '018f2f6a-0000-7000-8000-000000000099', email: 'nobody@example.com' })
    const pagesPerWalk = (await countPages()) - before
    expect(pagesPerWalk).toBeGreaterThan(0)

    before = await countPages()
    await Promise.all(users.map(eraser.erase))
    expect((await countPages()) - before).toBeLessThanOrEqual(2 * pagesPerWalk)
    const left = JSON.stringify(await readEntries()).toLowerCase()
    for (const { id, email } of users) {
      expect(left).not.toContain(id)
      expect(left).not.toContain(email.toLowerCase())
    }
    expect(await readEntries()).toHaveLength(ENTRIES)
  })
})

describeBackends('erasing a user from the dead letters', (kind) => {
  const releaser = useReleaser()
  const ANN = { id: '018f2f6a-0000-7000-8000-000000000010', email: 'ann@example.com' }
  const OTHER = '018f2f6a-0000-7000-8000-000000000011'
  let eraser: DeadLetterEraser
  let buryOne: (failedEvent: FailedEvent) => Promise<() => Promise<DeadLetterEntry | undefined>>

  beforeAll(async () => {
    const onError = () => undefined
    const backend = await createTestBackend(kind, releaser, await createTestDatabase(releaser))
    const redis =
      kind === 'redis'
        ? releaser.add(openRedis({ url: testRedisUrl() }, 'patient', onError), (it) => it.disconnect())
        : undefined
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    releaser.onRelease(() => queue.close())
    const store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
    eraser = createDeadLetterEraser({ backend, shards: 1, log: createLogger('test', 'silent') })
    releaser.onRelease(() => eraser.close())
    buryOne = async (failedEvent) => {
      await bury(queue, [failedEvent])
      return async () => (await store.get([deadLetterId(failedEvent)]))[0]
    }
  })

  it('keeps an entry that mentions a longer address', async () => {
    const read = await buryOne(
      makeFailedEvent({
        fields: { user_id: OTHER, error: 'mailbox joann@example.com full', metadata: { to: 'a@b.example' } },
        error: { code: 'x', message: 'to o.ann@example.com\nand ann@example.com.au' },
      }),
    )
    const before = await read()
    await eraser.erase(ANN)
    expect(await read()).toEqual(before)
  })

  it("removes only the texts that mention the user from another user's entry", async () => {
    const at = new Date().toISOString()
    const read = await buryOne(
      makeFailedEvent({
        fields: {
          user_id: OTHER.toUpperCase(),
          error: 'mailbox\nAnn@example.com is full',
          provider: 'ses',
          metadata: { to: ANN.email },
        },
        error: { code: 'x', message: 'the store was away' },
        history: [
          { at, code: 'x', message: `could not store for ${ANN.email}` },
          { at, code: 'x', message: 'lock timeout' },
        ],
      }),
    )
    const before = await read()
    await eraser.erase(ANN)
    const { metadata: _metadata, ...event } = Object(before?.event)
    expect(await read()).toEqual({
      ...before,
      event: { ...event, error: '[erased]' },
      history: [
        { at, code: 'x', message: '[erased]' },
        { at, code: 'x', message: 'lock timeout' },
      ],
    })
  })

  it("removes an error that mentions the user's id from another user's entry, and keeps the event", async () => {
    const message = `There is no user ${ANN.id}`
    const read = await buryOne(makeFailedEvent({ fields: { user_id: OTHER }, error: { code: 'x', message } }))
    const before = await read()
    await eraser.erase(ANN)
    expect(await read()).toEqual({ ...before, error: { code: 'x', message: '[erased]' } })
  })
})
