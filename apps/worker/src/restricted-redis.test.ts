import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RedisBackend } from '@tidings/queue/backend'
import { checkRedisDurability, warnAboutDurability } from '@tidings/queue/durability'
import { openRedis } from '@tidings/queue/open-redis'
import { createPublisher } from '@tidings/queue/publisher'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestDatabase,
  describeRedis,
  makeTestFolder,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it, vi } from 'vitest'
import { startTestWorker } from './testing/test-worker.ts'

/** The rights that docs/queue-backends.md names: without INFO, CONFIG and CLIENT LIST. */
const RIGHTS = ['on', '>secret', '~*', '&*', '+@all', '-@admin', '-@dangerous']

describeRedis('a Redis whose user may not read INFO and CONFIG', () => {
  const releaser = useReleaser()
  const log = createLogger('test', 'silent')
  let backend: RedisBackend

  beforeAll(async () => {
    const server = await startTestRedis(releaser)
    const admin = openRedis(server, 'operator', () => {})
    await admin.call('ACL', 'SETUSER', 'restricted', ...RIGHTS)
    admin.disconnect()
    const url = server.url.replace('//', '//restricted:secret@')
    backend = { kind: 'redis', url, prefix: 'restricted' }
  })

  it('takes events from the API, and a worker stores them', () => expectStored(backend))

  it('does so where INFO was removed', async () => {
    const config = join(await makeTestFolder(releaser), 'removed.conf')
    await writeFile(config, 'rename-command INFO ""\n')
    const server = await startTestRedis(releaser, { include: config })
    await expectStored({ kind: 'redis', url: server.url, prefix: 'removed' })
  })

  async function expectStored(backend: RedisBackend) {
    const { database } = await createTestDatabase(releaser)
    const lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    const publisher = releaser.add(createPublisher({ backend, shards: 1, log }), (opened) => opened.close())
    await waitFor('the publisher to be ready', () => publisher.isConnected)
    await startTestWorker({ db: database, backend, lifecycle })
    const event = makeEvent()
    await publisher.publish([event])
    await waitFor('the event to be stored', async () => {
      const { rows } = await database.pool.query('SELECT 1 FROM notification_status WHERE id = $1', [
        event.id,
      ])
      return rows.length === 1
    })
  }

  it('has an unknown durability: one warning, and a refusal only when it must be known', async () => {
    const redis = releaser.add(
      openRedis(backend, 'patient', () => {}),
      (connection) => connection.disconnect(),
    )
    const { problems, unknown } = await checkRedisDurability(redis)
    expect(problems).toEqual([])
    expect(unknown.map(({ setting }) => setting)).toEqual(['appendonly', 'appendfsync', 'maxmemory-policy'])
    const warn = vi.spyOn(log, 'warn').mockClear()
    await warnAboutDurability(redis, false, log)
    expect(warn.mock.calls).toEqual([
      [
        { settings: ['appendonly', 'appendfsync', 'maxmemory-policy'] },
        'Redis does not show its settings to this user. Check that appendonly is yes, appendfsync is always, ' +
          'maxmemory-policy is noeviction',
      ],
      ['Redis lets this user not read INFO: its version and how full its memory is are not checked'],
    ])
    await expect(warnAboutDurability(redis, true, log)).rejects.toThrow(
      'STRICT_DURABILITY: Redis does not show appendonly: allow this user CONFIG GET',
    )
  })
})
