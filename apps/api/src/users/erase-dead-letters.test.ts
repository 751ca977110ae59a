import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { makeDeath } from '@tidings/queue/dead-letter-fixtures'
import { buryEvents } from '@tidings/queue/dead-letters'
import { openDeadLetters } from '@tidings/queue/open-dead-letters'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { createLogger } from '@tidings/shared/log'
import { startRedis } from '@tidings/stack/redis'
import { describeRedis, useReleaser } from '@tidings/stack/test-context'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { createDeadLetterEraser } from './erase-dead-letters.ts'

const USERS = 15
const ENTRIES = 40

describeRedis('erasing many users from the dead letters at once', () => {
  const releaser = useReleaser()

  it('clears each of them out, and reads the dead letters twice at most', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tidings-redis-'))
    releaser.onRelease(() => rm(dataDir, { recursive: true, force: true }))
    const server = releaser.add(await startRedis({ dataDir }), (it) => it.stop())
    const redis = releaser.add(new Redis(server.url), (it) => it.disconnect())
    const backend: QueueBackend = { kind: 'redis', url: server.url, prefix: 'erasing' }
    const onError = (error: Error) => {
      throw error
    }
    const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    releaser.onRelease(() => queue.close())
    const users = Array.from({ length: USERS }, (_, n) => ({
      id: `018f2f6a-0000-7000-8000-0000000000${10 + n}`,
      email: `Owner-${10 + n}@example.com`,
    }))
    await buryEvents(
      queue,
      Array.from({ length: ENTRIES }, (_, n) => {
        const { id, email } = users[n % USERS] ?? { id: '', email: '' }
        return makeDeath({ fields: n % 2 === 0 ? { user_id: id } : { error: `no box ${email}` } })
      }),
    )
    const eraser = createDeadLetterEraser({ backend, shards: 1, log: createLogger('test', 'silent') })
    releaser.onRelease(() => eraser.close())
    const store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (it) => it.close())
    const readEntries = async () => (await store.page({ limit: ENTRIES + 1 })).map(({ entry }) => entry)
    const countPages = async () =>
      Number(/cmdstat_zrange:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)

    // How many pages one walk reads.
    let before = await countPages()
    await eraser.erase({ id: '018f2f6a-0000-7000-8000-000000000099', email: 'nobody@example.com' })
    const pagesOfWalk = (await countPages()) - before
    expect(pagesOfWalk).toBeGreaterThan(0)

    before = await countPages()
    await Promise.all(users.map(eraser.erase))
    expect((await countPages()) - before).toBeLessThanOrEqual(2 * pagesOfWalk)
    const left = JSON.stringify(await readEntries()).toLowerCase()
    for (const { id, email } of users) {
      expect(left).not.toContain(id)
      expect(left).not.toContain(email.toLowerCase())
    }
    expect(await readEntries()).toHaveLength(ENTRIES)
  })
})
